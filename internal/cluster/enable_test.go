package cluster_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/cluster"
	"holdfast/internal/format"
	"holdfast/internal/record"
	"holdfast/internal/record/mem"
)

func contract(t *testing.T, s record.Store) format.Contract {
	t.Helper()
	c, err := format.Read[format.Contract](t.Context(), values(s), format.KeyFormat)
	if err != nil {
		t.Fatal(err)
	}
	return c.Head
}

func enable(ctx context.Context, s record.Store) error {
	return cluster.Enable(ctx, values(s), feature(), "dense", "a test")
}

func TestEnable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		older, newer := process(t, s, "v1", nil), process(t, s, "v2", feature())
		stop := run(t, older)
		run(t, newer)
		err := enable(t.Context(), s)
		var blocked *cluster.BlockedError
		if !errors.As(err, &blocked) || len(blocked.Blockers) != 1 || blocked.Blockers[0].Lost {
			t.Fatalf("while an older one runs: %v", err)
		}
		for _, want := range []string{older.ID(), "v1", "dense", "runs"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("it does not say %q: %v", want, err)
			}
		}
		if c := contract(t, s); len(c.Features) > 0 || c.Announced != nil {
			t.Errorf("it left %+v", c)
		}
		stop() // killed: it leaves no word
		time.Sleep(9 * time.Minute)
		if err := enable(t.Context(), s); !errors.As(err, &blocked) || !blocked.Blockers[0].Lost || !strings.Contains(err.Error(), "wait") {
			t.Errorf("nine minutes after it was killed: %v", err)
		}
		if err := write(t.Context(), older.Records()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("it may write still: %v", err)
		}
		time.Sleep(time.Minute + time.Second)
		if newer.Enabled("dense") {
			t.Error("it is enabled before it is")
		}
		for range 2 {
			if err := enable(t.Context(), s); err != nil {
				t.Fatalf("ten minutes after it was killed: %v", err)
			}
		}
		if c := contract(t, s); !c.Has("dense") || c.Announced != nil || c.Since["dense"] != "v2" {
			t.Errorf("the contract: %+v", c)
		}
		time.Sleep(20 * time.Second)
		if !newer.Enabled("dense") {
			t.Error("a replica has not noticed after a heartbeat")
		}
		var asks *format.NewerError
		err = newcomer(s, "v1", nil).Join(t.Context())
		if !errors.As(err, &asks) || !strings.Contains(err.Error(), "dense (known since v2)") {
			t.Errorf("an older one starts: %v", err)
		}
		if err := older.Join(t.Context()); !errors.As(err, &asks) {
			t.Errorf("the older one wakes up: %v", err)
		}
		if err := write(t.Context(), older.Records()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("and writes: %v", err)
		}
		if v := look(t, s); !has(v, cluster.Wrong, "feature-unknown") {
			t.Errorf("nothing tells of it: %+v", v.Problems)
		}
	})
}

func TestEnableWhatIsNotKnown(t *testing.T) {
	s := mem.New(mem.Config{})
	if err := cluster.Enable(t.Context(), values(s), nil, "dense", "a test"); !errors.Is(err, cluster.ErrUnknownFeature) {
		t.Errorf("it says %v", err)
	}
}

// TestEnableWhileOneStarts: at whatever request of the enabling an older process comes up, or makes a heartbeat, it is not enabled, or that process does not write.
func TestEnableWhileOneStarts(t *testing.T) {
	for _, joined := range []bool{false, true} {
		for at := range 8 {
			synctest.Test(t, func(t *testing.T) {
				s := mem.New(mem.Config{})
				process(t, s, "v2", feature())
				older := newcomer(s, "v1", nil)
				if joined { // and was silent for so long that it does not count
					if err := older.Join(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(cluster.CountsFor)
				}
				way := over(s)
				var n atomic.Int64 // heartbeats are read at once
				var joinErr error
				way.hold = func(string, record.Key) {
					if n.Add(1) == int64(at)+1 {
						joinErr = older.Join(t.Context())
					}
				}
				err := enable(t.Context(), way)
				writes := write(t.Context(), older.Records()) == nil
				enabled := contract(t, s)
				if has := enabled.Has("dense"); has != (err == nil) {
					t.Errorf("at %d: enabled %t, %v", at, has, err)
				}
				if enabled.Has("dense") && writes {
					t.Errorf("at %d: it is enabled, and who does not know it writes; joined: %v", at, joinErr)
				}
				if !enabled.Has("dense") && n.Load() > int64(at) && !writes {
					t.Errorf("at %d: it is not enabled, and the older one does not write: %v", at, joinErr)
				}
			})
		}
	}
}

// TestEnableIsCutOff: a process that dies while it enables hinders neither an older version nor the next try.
func TestEnableIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		process(t, s, "v2", feature())
		way := over(s)
		way.hold = func(op string, _ record.Key) {
			if op == "list" {
				way.fail(true)
			}
		}
		if err := enable(t.Context(), way); !errors.Is(err, record.ErrUnavailable) {
			t.Fatalf("it says %v", err)
		}
		if c := contract(t, s); c.Announced == nil || c.Has("dense") {
			t.Fatalf("the contract: %+v", c)
		}
		if v := look(t, s); !has(v, cluster.Note, "feature-announced") || !v.Well {
			t.Errorf("%+v", v.Problems)
		}
		if err := enable(t.Context(), s); err != nil {
			t.Errorf("the next try: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		if _, err := format.Write(t.Context(), values(s), format.KeyFormat, format.Stored[format.Contract]{},
			format.Contract{Format: format.Version, Announced: &format.Announcement{Feature: "dense"}}, nil, false); err != nil {
			t.Fatal(err)
		}
		process(t, s, "v1", nil)
		if c := contract(t, s); c.Announced != nil {
			t.Error("an older version left the announcement")
		}
	})
}

// TestTwoEnable: two at once enable it once.
func TestTwoEnable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		process(t, s, "v2", feature())
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := enable(t.Context(), s); err != nil && !errors.Is(err, record.ErrConflict) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if err := enable(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if c := contract(t, s); len(c.Features) != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// TestEnableWithinAHeartbeat: a feature is enabled before each request of an older process's first heartbeat, and of a later one after a long silence.
func TestEnableWithinAHeartbeat(t *testing.T) {
	for _, first := range []bool{true, false} {
		for at := range 3 {
			synctest.Test(t, func(t *testing.T) {
				s := mem.New(mem.Config{})
				process(t, s, "v2", feature())
				way := over(s)
				older := newcomer(way, "v1", nil)
				if !first {
					if err := older.Join(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(cluster.CountsFor)
				}
				n := 0
				var enabled error
				way.hold = func(string, record.Key) {
					if n++; n == at+1 {
						enabled = enable(t.Context(), s)
					}
				}
				joined := older.Join(t.Context())
				way.hold = nil
				var blocked *cluster.BlockedError
				c := contract(t, s)
				switch has, writes := c.Has("dense"), write(t.Context(), older.Records()) == nil; {
				case has && writes:
					t.Errorf("before request %d it is enabled, and the older one writes: %v", at, joined)
				case !has && (n <= at) != (enabled == nil):
					t.Errorf("before request %d: %v", at, enabled)
				case !has && enabled != nil && (!errors.As(enabled, &blocked) || !writes):
					t.Errorf("before request %d: %v; the older one writes: %t", at, enabled, writes)
				}
			})
		}
	}
}
