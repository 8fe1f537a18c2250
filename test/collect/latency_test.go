package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/registry"
	"holdfast/internal/s3/s3test"
)

// TestPushWhileCollecting measures how long a push takes while a full pass goes on, with the default budget of requests, as a ratio to a push
// without one, over a bucket that answers 30 ms later than it would. HOLDFAST_LATENCY says how many pushes a run has; without it a run has two and
// only shows that pushes end.
func TestPushWhileCollecting(t *testing.T) {
	pushes := 2
	if text := os.Getenv("HOLDFAST_LATENCY"); text != "" {
		var err error
		if pushes, err = strconv.Atoi(text); err != nil {
			t.Fatalf("HOLDFAST_LATENCY: %v", err)
		}
	}
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		if server.Name != "versitygw" {
			return // one is enough
		}
		budget, err := datas3.NewBudget(0)
		if err != nil {
			t.Fatal(err)
		}
		cfg := server.Config(t)
		near := server.Open(t, cfg)
		grace := 6 * time.Second
		ages := shortAges(grace)
		if _, err := fill(t.Context(), format.Store{Records: records3.New(near, ""), Ages: ages}, datas3.New(near, "", budget), 500*pushes, 16); err != nil {
			t.Fatal(err)
		}
		time.Sleep(grace)
		cfg.Transport = func(base http.RoundTripper) http.RoundTripper { return later{base, 30 * time.Millisecond} }
		far := server.Open(t, cfg)
		records, segments := records3.New(far, ""), datas3.New(far, "", budget)
		local, err := registry.New(t.Context(), records, segments, registry.Config{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		without := runs(t, local, "without", pushes)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 1)
		pass := collect.NewBudget(200)
		slow := format.Store{Records: pass.Records(records), Ages: ages}
		c := collect.New(local, slow, pass.Segments(segments), collect.Config{}, slog.New(slog.DiscardHandler))
		go func() {
			_, err := c.Pass(ctx, collect.Progress{Full: true}, nil)
			ended <- err
		}()
		with := runs(t, local, "with", pushes)
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the pass ended before the pushes: %v", err)
		}
		t.Logf("median push without a pass %s, with one %s: %.2f times", without, with, float64(with)/float64(without))
	})
}

// runs makes five runs of pushes and returns the median of their medians.
func runs(t *testing.T, l *registry.Local, name string, pushes int) time.Duration {
	t.Helper()
	var medians []time.Duration
	for run := range 5 {
		var took []time.Duration
		for n := range pushes {
			begin := time.Now()
			push(t, l, oci.Repository(fmt.Sprintf("latency/%s%d", name, run)), n)
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		medians = append(medians, took[len(took)/2])
	}
	slices.Sort(medians)
	t.Logf("%s: %s", name, medians)
	return medians[2]
}

// push pushes an image of two new layers and a config.
func push(t *testing.T, l *registry.Local, repo oci.Repository, n int) {
	t.Helper()
	var parts []string
	for range 3 {
		content := fmt.Sprintf("%d %d", n, rand.Uint64())
		d := digest.FromString(content)
		if err := l.PushBlob(t.Context(), repo, d, strings.NewReader(content), int64(len(content))); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, fmt.Sprintf(`{"mediaType":"a/b","digest":%q,"size":%d}`, d, len(content)))
	}
	body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, oci.MediaTypeImageManifest, parts[0], strings.Join(parts[1:], ","))
	if _, err := l.PushManifest(t.Context(), repo, registry.Push{Body: body, Tags: []oci.Tag{"latest"}}); err != nil {
		t.Fatal(err)
	}
}

// later answers later.
type later struct {
	http.RoundTripper
	by time.Duration
}

func (l later) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(l.by):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return l.RoundTripper.RoundTrip(r)
}
