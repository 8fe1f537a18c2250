package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/cluster"
	"holdfast/internal/format"
	"holdfast/internal/observe/recent"
	"holdfast/internal/record"
	"holdfast/internal/record/mem"
)

// traffic counts requests to a store, and can fail or hold them.
type traffic struct {
	record.Store
	mu     sync.Mutex
	counts map[string]int
	gone   bool
	hold   func(op string, key record.Key) // is called before a request, if it is not nil
}

func over(s record.Store) *traffic { return &traffic{Store: s, counts: map[string]int{}} }

func (s *traffic) before(op string, key record.Key) error {
	s.mu.Lock()
	s.counts[op]++
	gone, hold := s.gone, s.hold
	s.mu.Unlock()
	if hold != nil {
		hold(op, key)
	}
	if gone {
		return record.ErrUnavailable
	}
	return nil
}

func (s *traffic) fail(gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = gone
}

func (s *traffic) take() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.counts
	s.counts = map[string]int{}
	return out
}

func (s *traffic) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if err := s.before("get", key); err != nil {
		return record.Record{}, err
	}
	return s.Store.Get(ctx, key)
}

func (s *traffic) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if err := s.before("put", key); err != nil {
		return record.Stamp{}, err
	}
	return s.Store.Put(ctx, key, value, cond)
}

func (s *traffic) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	if err := s.before("delete", key); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key, cond)
}

func (s *traffic) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	if err := s.before("list", prefix); err != nil {
		return func(yield func(record.Entry, error) bool) { yield(record.Entry{}, err) }
	}
	return s.Store.List(ctx, prefix, after)
}

// feature is one that the newer of two versions knows.
func feature() []format.Feature {
	return []format.Feature{{Name: "dense", Since: "v2", Text: "a test's"}}
}

func values(s record.Store) format.Store { return format.Store{Records: s, Ages: format.DefaultAges()} }

// process returns a process of a version that knows some features, which has joined.
func process(t *testing.T, s record.Store, version string, known []format.Feature) *cluster.Member {
	t.Helper()
	m := newcomer(s, version, known)
	if err := m.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func newcomer(s record.Store, version string, known []format.Feature) *cluster.Member {
	return cluster.New(values(s), cluster.Config{
		Process: cluster.Process{Version: version, Role: cluster.Replica, Features: known},
		Vitals:  func() cluster.Vitals { return cluster.Vitals{State: cluster.Ready, Requests: recent.Ended{Total: 3}} },
	}, slog.New(slog.DiscardHandler))
}

// run makes a process's heartbeats until the test ends, or stop is called.
func run(t *testing.T, m *cluster.Member) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { m.Run(ctx) })
	stop = func() { cancel(); ended.Wait() }
	t.Cleanup(stop)
	return stop
}

func look(t *testing.T, s record.Store) cluster.View {
	t.Helper()
	v, err := cluster.NewViewer([]cluster.Source{{Path: "/", Records: values(s), Collects: func() bool { return true }}}).Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func states(v cluster.View) (all []string) {
	for _, r := range v.Replicas {
		all = append(all, r.Version+" "+string(r.State))
	}
	return all
}

func has(v cluster.View, severity cluster.Severity, kind string) bool {
	for _, p := range v.Problems {
		if p.Severity == severity && p.Kind == kind {
			return true
		}
	}
	return false
}

func write(ctx context.Context, s record.Store) error {
	_, err := s.Put(ctx, record.Key("b/00/"+format.RandomID()), []byte(format.RandomID()), record.IfAbsent())
	return err
}

// TestCost: a replica that is there for an hour makes one write and one read every fifteen seconds, and one list.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := over(mem.New(mem.Config{}))
		m := process(t, s, "v1", nil)
		if got := s.take(); got["put"] != 2 || got["get"] != 1 || len(got) != 2 { // the other write is the contract of a new store
			t.Errorf("to join: %v", got)
		}
		stop := run(t, m)
		time.Sleep(time.Hour)
		stop()
		got := s.take()
		if got["put"] < 230 || got["put"] > 250 || got["get"] != got["put"] || got["list"] < 1 || got["list"] > 2 || got["delete"] != 0 {
			t.Errorf("in an hour: %v", got)
		}
		if err := errors.Join(m.Leave(t.Context()), m.Leave(t.Context())); err != nil {
			t.Fatal(err)
		}
		if got := s.take(); got["delete"] != 1 || len(got) != 1 {
			t.Errorf("to leave: %v", got)
		}
		for range 3 {
			process(t, s, "v1", nil)
		}
		s.take()
		viewer := cluster.NewViewer([]cluster.Source{{Path: "/", Records: values(s), Collects: func() bool { return false }}})
		for i, reads := range []int{3 + 4, 4} {
			if _, err := viewer.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.take(); got["list"] != 1 || got["get"] != reads || len(got) != 2 {
				t.Errorf("look %d: %v, want a list and %d reads", i+1, got, reads)
			}
		}
	})
}

// TestLifeOfAReplica: it is ready, lost when it does not say anything, back when it does, and gone when it leaves.
func TestLifeOfAReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		way := over(s)
		m := process(t, way, "v1", nil)
		stop := run(t, m)
		time.Sleep(10 * time.Minute)
		v := look(t, s)
		if got := states(v); len(got) != 1 || got[0] != "v1 ready" || !v.Well || v.Replicas[0].ID != m.ID() || v.Replicas[0].Requests.Total != 3 {
			t.Fatalf("%v: %+v", got, v)
		}
		way.fail(true)
		time.Sleep(2 * time.Minute)
		v = look(t, s)
		if got := states(v); got[0] != "v1 lost" || v.Well || !has(v, cluster.Wrong, "replica-lost") || !has(v, cluster.Wrong, "none-ready") {
			t.Errorf("%v: %+v", got, v.Problems)
		}
		way.fail(false)
		time.Sleep(30 * time.Second)
		if v = look(t, s); states(v)[0] != "v1 ready" || !v.Well {
			t.Errorf("%v: %+v", states(v), v.Problems)
		}
		stop()
		if err := m.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v = look(t, s); len(v.Replicas) != 0 {
			t.Errorf("it left: %v", states(v))
		}
		if err := write(t.Context(), m.Records()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("a write of one that left: %v", err)
		}
	})
}

// TestAlive: those are counted that made a heartbeat a short while ago, by one list.
func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		way := over(s)
		alive := func() int {
			t.Helper()
			way.take()
			n, err := cluster.Alive(t.Context(), values(way))
			if asked := way.take(); err != nil || len(asked) != 1 || asked["list"] != 1 {
				t.Fatalf("%v after %v", err, asked)
			}
			return n
		}
		process(t, s, "v1", nil) // and is killed
		running := process(t, s, "v1", nil)
		stop := run(t, running)
		left := process(t, s, "v1", nil)
		if n := alive(); n != 3 {
			t.Errorf("%d of 3", n)
		}
		if err := left.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if n := alive(); n != 1 {
			t.Errorf("%d after one left and one was killed, want 1", n)
		}
		stop()
		way.fail(true)
		if _, err := cluster.Alive(t.Context(), values(way)); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("of a store that is gone: %v", err)
		}
	})
}

// TestReplaced: a replica that was killed and started again on its host is no alarm.
func TestReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		process(t, s, "v1", nil)
		time.Sleep(2 * time.Minute)
		run(t, process(t, s, "v1", nil))
		if v := look(t, s); !v.Well || !has(v, cluster.Note, "replica-lost") {
			t.Errorf("%+v", v.Problems)
		}
	})
}

// TestForgotten: what a killed process left goes by itself, and one that wakes up after that has another id.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		way := over(s)
		sleeper := process(t, way, "v1", nil)
		id := sleeper.ID()
		run(t, process(t, s, "v2", nil))
		time.Sleep(23 * time.Hour)
		if got := states(look(t, s)); len(got) != 2 {
			t.Fatalf("after 23 h: %v", got)
		}
		time.Sleep(4 * time.Hour)
		if got := states(look(t, s)); len(got) != 1 || got[0] != "v2 ready" {
			t.Errorf("after 27 h: %v", got)
		}
		if rec, err := s.Get(t.Context(), format.ReplicaKey(id)); err != nil || len(rec.Value) != format.DeadSize {
			t.Errorf("it is not dead: %d bytes, %v", len(rec.Value), err)
		}
		if err := write(t.Context(), sleeper.Records()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("a write of one that slept: %v", err)
		}
		if err := sleeper.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		if sleeper.ID() == id {
			t.Error("it has the id that was removed")
		}
		if err := write(t.Context(), sleeper.Records()); err != nil {
			t.Error(err)
		}
		time.Sleep(26 * time.Hour)
		if _, err := s.Get(t.Context(), format.ReplicaKey(id)); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("its tombstone is there after another 26 h: %v", err)
		}
	})
}

// undeletable is a store of credentials that may not delete.
type undeletable struct{ record.Store }

func (undeletable) Delete(_ context.Context, key record.Key, _ record.Cond) error {
	return errors.New("denied: " + string(key))
}

// TestLeaveWithoutDeletes: who may not delete leaves all the same, and is not taken for lost.
func TestLeaveWithoutDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		m := process(t, undeletable{s}, "v1", nil)
		if err := errors.Join(m.Leave(t.Context()), m.Leave(t.Context())); err != nil {
			t.Error(err)
		}
		if got := states(look(t, s)); len(got) != 0 {
			t.Errorf("after it left: %v", got)
		}
		if err := write(t.Context(), m.Records()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("it writes on: %v", err)
		}
	})
}

// TestTidyGoesOn: a heartbeat that a later version wrote does not keep the others.
func TestTidyGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		if _, err := s.Put(t.Context(), format.ReplicaKey("0"), bytes.Repeat([]byte("?"), 1024), record.IfAbsent()); err != nil {
			t.Fatal(err)
		}
		m := process(t, s, "v1", nil)
		time.Sleep(25 * time.Hour)
		if err := cluster.Tidy(t.Context(), values(s)); err == nil {
			t.Error("it does not tell of what it cannot read")
		}
		if rec, err := s.Get(t.Context(), format.ReplicaKey(m.ID())); err != nil || len(rec.Value) != format.DeadSize {
			t.Errorf("the other is not dead: %d bytes, %v", len(rec.Value), err)
		}
	})
}

// TestSlowTidy: a process goes on with its heartbeats, and so may write, while what others left cannot be removed.
func TestSlowTidy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		way := over(s)
		m := process(t, way, "v1", nil)
		way.mu.Lock()
		way.hold = func(op string, _ record.Key) {
			if op == "list" {
				time.Sleep(10 * time.Minute)
			}
		}
		way.mu.Unlock()
		run(t, m)
		for minute := range 90 {
			time.Sleep(time.Minute)
			if got := states(look(t, s)); len(got) != 1 || got[0] != "v1 ready" {
				t.Fatalf("in minute %d: %v", minute, got)
			}
			if err := write(t.Context(), m.Records()); err != nil {
				t.Fatal(err)
			}
		}
		if way.take()["list"] == 0 {
			t.Error("nobody looked for what was forgotten")
		}
	})
}

// TestGate: who cannot renew the heartbeat writes no more after five minutes, reads on, and writes again when it can.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		way := over(s)
		m := newcomer(way, "v1", nil)
		if err := write(t.Context(), m.Records()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("before it joins: %v", err)
		}
		if err := m.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		run(t, m)
		gated := m.Records()
		way.mu.Lock()
		way.hold = func(op string, key record.Key) { // only heartbeats do not come through
			way.mu.Lock()
			defer way.mu.Unlock()
			way.gone = op == "put" && strings.HasPrefix(string(key), string(format.PrefixReplicas))
		}
		way.mu.Unlock()
		way.fail(false)
		time.Sleep(4 * time.Minute)
		if err := write(t.Context(), gated); err != nil {
			t.Errorf("after 4 minutes: %v", err)
		}
		time.Sleep(time.Minute + time.Second)
		if err := write(t.Context(), gated); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("after 5 minutes: %v", err)
		}
		if err := gated.Delete(t.Context(), "b/00/x", record.Always()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("a delete: %v", err)
		}
		if _, err := gated.Get(t.Context(), format.KeyFormat); err != nil {
			t.Errorf("a read: %v", err)
		}
		way.take()
		for range 6000 { // a minute under load
			time.Sleep(10 * time.Millisecond)
			_ = write(t.Context(), gated)
		}
		if got := way.take()["put"]; got > 35 {
			t.Errorf("%d heartbeats were tried in a minute", got)
		}
		way.mu.Lock()
		way.hold, way.gone = nil, false
		way.mu.Unlock()
		time.Sleep(2 * time.Second)
		_ = write(t.Context(), gated) // it is refused, unless a heartbeat was just made, and does not wait for the next
		time.Sleep(time.Second)
		if err := write(t.Context(), gated); err != nil {
			t.Errorf("when it can: %v", err)
		}
	})
}

// TestLostAnswers: a heartbeat whose answer was lost is gone on from, under the same id.
func TestLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		lossy := &lossy{Store: s}
		m := newcomer(lossy, "v1", nil)
		id := m.ID()
		lossy.set(true)
		if err := m.Join(t.Context()); !errors.Is(err, record.ErrUnavailable) {
			t.Fatalf("joined: %v", err)
		}
		if err := write(t.Context(), m.Records()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("it may write: %v", err)
		}
		lossy.set(false)
		for range 2 {
			if err := m.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if v := look(t, s); len(v.Replicas) != 1 || v.Replicas[0].ID != id || m.ID() != id {
			t.Errorf("%+v", v.Replicas)
		}
		lossy.set(true)
		if err := m.Leave(t.Context()); err == nil {
			t.Error("it says that it left")
		}
	})
}

// lossy is a store that does what it is asked for, and whose answers are lost.
type lossy struct {
	record.Store
	mu   sync.Mutex
	lost bool
}

func (s *lossy) set(lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = lost
}

func (s *lossy) answer(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		return record.ErrUnavailable
	}
	return err
}

func (s *lossy) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	stamp, err := s.Store.Put(ctx, key, value, cond)
	return stamp, s.answer(err)
}

func (s *lossy) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	return s.answer(s.Store.Delete(ctx, key, cond))
}
