package drills

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"holdfast/test/cluster"
)

// TestMain builds the program once for all drills.
func TestMain(m *testing.M) {
	if os.Getenv(collectorVariable) != "" {
		os.Exit(collectForever())
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "holdfast-drills-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
		binary, err := cluster.Build(context.Background(), dir)
		if err == nil {
			err = os.Setenv("HOLDFAST_TEST_BINARY", binary)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// size is how long things take and how exact they must be.
type size struct {
	name    string
	warm    time.Duration // before the fault
	recover time.Duration // after it
	rate    float64       // calls a second that the load must make before the fault
	think   time.Duration // longest pause of a client; 0: the load's own
	large   int64         // bytes of its largest layer; 0: the load's own
	full    bool
}

func sizeOf(t *testing.T) size {
	t.Helper()
	switch name := os.Getenv("HOLDFAST_DRILLS"); name {
	case "", "soak":
		return size{name: "smoke", warm: 1500 * time.Millisecond, recover: 2500 * time.Millisecond, rate: 8, think: 120 * time.Millisecond, large: 1 << 20}
	case "full":
		return size{name: "full", warm: 10 * time.Second, recover: 15 * time.Second, rate: 50, full: true}
	default:
		t.Fatalf("HOLDFAST_DRILLS=%s: want nothing, full or soak", name)
		return size{}
	}
}

// pick returns what is right for the size.
func pick[T any](s size, smoke, full T) T {
	if s.full {
		return full
	}
	return smoke
}

// bound is a promised time, with slack for a machine that does other things in the smoke size.
func (s size) bound(promised time.Duration) time.Duration {
	return pick(s, 3*promised+2*time.Second, promised)
}

func seedFor(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("HOLDFAST_DRILLS_SEED")
	if text == "" {
		return uint64(time.Now().UnixNano())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal("HOLDFAST_DRILLS_SEED:", err)
	}
	return seed
}

// outFile opens a file in $HOLDFAST_DRILLS_OUT to append to; nil where that is not set.
func outFile(t *testing.T, name string) *os.File {
	t.Helper()
	dir := os.Getenv("HOLDFAST_DRILLS_OUT")
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// soakTime is how long the soak lasts.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	if os.Getenv("HOLDFAST_DRILLS") != "soak" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(os.Getenv("HOLDFAST_DRILLS_TIME"))
	if err != nil {
		t.Fatal("HOLDFAST_DRILLS_TIME: want how long the soak lasts, 60m for instance:", err)
	}
	return d
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// writeFile writes a file that lasts as long as the test, and returns its path.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
