package drills

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/collect"
	"holdfast/internal/format"
	"holdfast/internal/lease"
	"holdfast/internal/oci"
	"holdfast/test/cluster"
	"holdfast/test/drills/load"
)

// collecting has the replicas collect, with all ages divided.
func collecting(requestsPerSecond int) func(*cluster.Options) {
	return func(o *cluster.Options) {
		o.Env = append(o.Env, fmt.Sprintf("HOLDFAST_TEST_AGES_DIVISOR=%d", divisor))
		edit := o.Edit
		o.Edit = func(cfg map[string]any) {
			edit(cfg)
			cfg["log"].(map[string]any)["level"] = "debug" // passes that free nothing are told there
			storage := cfg["storage"].(map[string]any)
			storage["gc"], storage["gcDelay"], storage["gcInterval"], storage["gcRequestsPerSecond"] = true, "1h", "2s", requestsPerSecond
		}
	}
}

// churning is the load of the collector's drills.
func churning(clients int) func(*load.Options) {
	return func(o *load.Options) { o.Churn, o.Clients, o.Large = true, clients, 1<<20 }
}

// underCollector is what clients may see while replicas are killed and the collector works.
func underCollector() limits {
	return limits{
		failed: []string{"none", "cut", "502", "503", "504"}, reads: true, givenUp: true, noHint: true,
		answer: 30 * time.Second, recovery: 10 * time.Second,
	}
}

// bucket opens the cluster's bucket beside the replicas, ahead of its clock.
func (r *run) bucket(ahead time.Duration, log *slog.Logger) *bucket {
	r.Helper()
	b, err := openBucket(r.Context(), place{r.cluster.S3[0], r.cluster.Bucket, ahead}, log)
	r.must(err)
	r.Cleanup(func() {
		if err := b.close(); err != nil {
			r.Error(err)
		}
	})
	return b
}

// holder returns the replica that makes a pass now by the lease, 0 for none.
func (r *run) holder(b *bucket) int {
	r.Helper()
	seen, err := lease.Look(r.Context(), b.values, collect.LeaseName, 0)
	r.must(err)
	for n := range r.cluster.Replicas {
		if seen.Held && strings.HasSuffix(seen.Holder, fmt.Sprintf(":%d", r.cluster.Pid(n+1))) {
			return n + 1
		}
	}
	return 0
}

// commandConfig writes replica 1's configuration for commands. Their collector makes as many requests as it likes.
func (r *run) commandConfig() string {
	r.Helper()
	var cfg map[string]any
	r.must(json.Unmarshal([]byte(readFile(r.T, r.cluster.ConfigFile(1))), &cfg))
	cfg["storage"].(map[string]any)["gcRequestsPerSecond"] = 0
	text, err := json.Marshal(cfg)
	r.must(err)
	return writeFile(r.T, string(text))
}

// command runs holdfast on the cluster's store until it ends, or is killed when ctx ends. It returns the exit code, -1 when it was killed or did not
// begin, and what it printed.
func (r *run) command(ctx context.Context, args ...string) (code int, out string) {
	r.Helper()
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, os.Getenv("HOLDFAST_TEST_BINARY"), append(args, r.config)...)
	cmd.Env = append(os.Environ(), r.env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && ctx.Err() == nil && !errors.As(err, &exit) {
		r.Error(err)
	}
	if cmd.ProcessState == nil {
		return -1, ""
	}
	if code = cmd.ProcessState.ExitCode(); code > 0 && code != 75 {
		r.Logf("holdfast %s: %d: %s", strings.Join(args, " "), code, stderr.String())
	}
	return code, stdout.String()
}

// fullPass has "holdfast gc" make a full pass. Who holds the lease and was killed is waited for; a replica whose pass goes on is not.
func (r *run) fullPass(b *bucket) {
	r.Helper()
	for end := time.Now().Add(lease.DefaultTTL + 5*time.Second); time.Now().Before(end); r.sleep(500 * time.Millisecond) {
		switch code, out := r.command(r.Context(), "gc", "--json"); code {
		case 0:
			return
		case 75:
		default:
			r.Fatalf("holdfast gc ended with %d: %s", code, out)
		}
	}
	_, err := b.pass(r.Context())
	r.must(err)
}

// passes counts the passes that replicas have told of.
func (r *run) passes() (n int) {
	r.Helper()
	for i := range r.cluster.Replicas {
		n += strings.Count(readFile(r.T, r.cluster.LogFile(i+1)), `"msg":"a collector's pass"`)
	}
	return n
}

// What a collector prints that asks for no lease.
const (
	removedLine = "removed"
	passLine    = "pass"
)

// collectorVariable makes of the tests' program a collector that asks for no lease: where its bucket is, as JSON.
const collectorVariable = "HOLDFAST_DRILLS_COLLECTOR"

// collectForever makes full passes, a second apart, until it is killed, and prints a line for all that it removes and for each pass. It is what
// becomes of a replica whose lease has passed to another and that does not know.
func collectForever() int {
	var at place
	if err := json.Unmarshal([]byte(os.Getenv(collectorVariable)), &at); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx := context.Background()
	b, err := openBucket(ctx, at, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	removed := func(collect.Kind, oci.Repository, oci.Digest) { fmt.Println(removedLine) }
	b.collector = collect.New(b.registry, b.values, b.segments, collect.Config{Removed: removed}, slog.New(slog.DiscardHandler))
	for {
		if _, err := b.pass(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(passLine)
		time.Sleep(time.Second)
	}
}

// unasked is a collector without a lease, killed again and again.
type unasked struct {
	passes, removed, kills, failed atomic.Int64
}

// run keeps a collector without a lease running until ctx ends, and kills it after at least least and at most most.
func (u *unasked) run(ctx context.Context, r *run, name string, seed uint64, least, most time.Duration) {
	random := rand.New(rand.NewPCG(r.seed, seed))
	text, err := json.Marshal(place{Endpoint: r.cluster.S3[0], Bucket: r.cluster.Bucket})
	if err != nil {
		r.Error(err)
		return
	}
	said := filepath.Join(r.TempDir(), name)
	for ctx.Err() == nil {
		var out strings.Builder
		stderr, err := os.OpenFile(said, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			r.Error(err)
			return
		}
		cmd := exec.CommandContext(context.WithoutCancel(ctx), os.Args[0])
		cmd.Env = append(os.Environ(), collectorVariable+"="+string(text))
		cmd.Stdout, cmd.Stderr = &out, stderr
		if err := cmd.Start(); err != nil {
			r.Error(err)
			return
		}
		var failed error
		ended := make(chan struct{})
		go func() {
			failed = cmd.Wait()
			close(ended)
		}()
		select {
		case <-ended: // the store failed it
			u.failed.Add(1)
			r.Logf("%s ended: %v: %s", name, failed, readFile(r.T, said))
		case <-time.After(least + time.Duration(random.Int64N(int64(most-least)))):
			_ = cmd.Process.Signal(syscall.SIGKILL)
			<-ended
			u.kills.Add(1)
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGKILL)
			<-ended
		}
		_ = stderr.Close() // the collector's, who is gone
		u.passes.Add(int64(strings.Count(out.String(), passLine)))
		u.removed.Add(int64(strings.Count(out.String(), removedLine)))
	}
}

// condemned counts the manifests of a repository that a collector has condemned and not decided about yet.
func (b *bucket) condemned(ctx context.Context, repo oci.Repository) (int, error) {
	var found atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for entry, err := range b.values.Records.List(ctx, format.ManifestPrefix(repo), "") {
		if err != nil {
			return 0, errors.Join(err, g.Wait())
		}
		if entry.Size == format.DeadSize {
			continue
		}
		g.Go(func() error {
			m, err := format.Read[format.Manifest](gctx, b.values, entry.Key)
			if err == nil && m.Is(format.Condemned) {
				found.Add(1)
			}
			return err
		})
	}
	err := g.Wait()
	return int(found.Load()), err
}
