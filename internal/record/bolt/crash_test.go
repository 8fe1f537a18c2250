package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"holdfast/internal/record"
	"holdfast/internal/record/bolt"
)

// crashDir names the directory that the process writes to which TestKill starts and kills.
const crashDir = "HOLDFAST_TEST_BOLT_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeForEver(context.Background(), dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver writes from eight goroutines, and prints each key and version once it is acknowledged.
func writeForEver(ctx context.Context, dir string) error {
	store, err := bolt.Open(ctx, bolt.Config{Dir: dir})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range 8 {
		go func() {
			for n := 0; ; n++ {
				key := record.Key(fmt.Sprintf("%d/%d", w, n))
				stamp, err := store.Put(ctx, key, []byte(strings.Repeat(string(key)+" ", 200)), record.IfAbsent())
				if err != nil {
					failed <- err
					return
				}
				// One write call a line: lines of the goroutines do not mix.
				if _, err := fmt.Printf("%s %s\n", key, stamp.Version); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// A process that is killed while it writes loses nothing that it acknowledged.
func TestKill(t *testing.T) {
	for round := range 2 {
		dir := t.TempDir()
		acknowledged := map[record.Key]record.Version{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			key, version, ok := strings.Cut(lines.Text(), " ")
			if !ok {
				break // cut by the kill
			}
			acknowledged[record.Key(key)] = record.Version(version)
			if len(acknowledged) == 200+100*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("the writer was not killed: %v", err)
		}
		cancel()
		store := open(t, bolt.Config{Dir: dir})
		for key, version := range acknowledged {
			// The last line may have lost its end.
			rec, err := store.Get(t.Context(), key)
			if err != nil || !strings.HasPrefix(string(rec.Version), string(version)) || string(rec.Value) != strings.Repeat(string(key)+" ", 200) {
				t.Errorf("%s was acknowledged: %d bytes, version %s, %v, want version %s", key, len(rec.Value), rec.Version, err, version)
			}
		}
		if len(acknowledged) < 200 {
			t.Errorf("only %d writes were acknowledged", len(acknowledged))
		}
		must(t, store, "after", "v", record.IfAbsent())
	}
}
