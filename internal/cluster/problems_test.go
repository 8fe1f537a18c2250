package cluster

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/collect"
	"holdfast/internal/format"
)

var at = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// ready is a replica that is well, changed by change.
func ready(id string, change func(*Peer)) Peer {
	r := Peer{
		ID: id, Host: id, Role: Replica, Version: "v1", Format: 1, Features: []string{}, Address: "10.0.0.1:5000", State: Ready,
		Since: at.Add(-26 * time.Hour), Seen: at.Add(-7 * time.Second), Requests: Requests{Total: 100}, Store: Answers{Total: 200, P50Ms: 4, P99Ms: 20},
	}
	if change != nil {
		change(&r)
	}
	return r
}

func well() View {
	return View{At: at, Replicas: []Peer{ready("a", nil)}, Stores: []Store{{
		Path: "/", Format: 1, Features: []FeatureState{}, SelfTest: &SelfTest{Tier: "A", Server: "MinIO", Version: "v1", Time: at.Add(-3 * time.Hour), CanDelete: true},
		Collector: collector(collect.Status{Ended: at.Add(-time.Hour), Last: &collect.Report{Started: at.Add(-61 * time.Minute), Ended: at.Add(-time.Hour)}}, true),
		Scrub:     &Scrubbed{Started: at.Add(-9 * time.Hour), Ended: at.Add(-8 * time.Hour), Blobs: 10, Bytes: 100},
	}}}
}

func TestProblems(t *testing.T) {
	lost := func(age time.Duration) func(*Peer) {
		return func(r *Peer) { r.State, r.Seen = Lost, at.Add(-age) }
	}
	for _, row := range []struct {
		name   string
		change func(*View)
		want   []string // severity and kind
	}{
		{"all is well", func(*View) {}, nil},
		{"nobody", func(v *View) { v.Replicas = nil }, []string{"wrong none-ready"}},
		{"a command is no replica", func(v *View) {
			v.Replicas[0].Role, v.Replicas[0].State = Command, Working
		}, []string{"wrong none-ready"}},
		{"one is lost", func(v *View) { v.Replicas = append(v.Replicas, ready("b", lost(2*time.Minute))) }, []string{"wrong replica-lost"}},
		{"and for long", func(v *View) { v.Replicas = append(v.Replicas, ready("b", lost(2*time.Hour))) }, []string{"note replica-lost"}},
		{"and replaced", func(v *View) {
			v.Replicas = append(v.Replicas, ready("a", func(r *Peer) { lost(2 * time.Minute)(r); r.Since = at.Add(-30 * time.Hour) }))
		}, []string{"note replica-lost"}},
		{"a command is lost", func(v *View) {
			v.Replicas = append(v.Replicas, ready("b", func(r *Peer) { lost(2 * time.Minute)(r); r.Role = Command }))
		}, []string{"note command-lost"}},
		{"one is not ready", func(v *View) { v.Replicas = append(v.Replicas, ready("b", func(r *Peer) { r.State = NotReady })) }, []string{"wrong replica-not-ready"}},
		{"a rolling upgrade", func(v *View) {
			v.Replicas = append(v.Replicas, ready("b", func(r *Peer) { r.State, r.Version = Draining, "v2" }))
		}, []string{"note versions-differ", "note replica-draining"}},
		{"errors", func(v *View) { v.Replicas[0].Requests.ServerErrors, v.Replicas[0].Store.Failed = 5, 10 }, []string{"wrong store-errors", "wrong server-errors"}},
		{"few errors", func(v *View) { v.Replicas[0].Requests.ServerErrors, v.Replicas[0].Store.Failed = 4, 9 }, nil},
		{"errors of few requests", func(v *View) { v.Replicas[0].Requests = Requests{Total: 19, ServerErrors: 19} }, nil},
		{"a clock", func(v *View) { v.Replicas[0].ClockOffsetSeconds = -61 }, []string{"wrong clock"}},
		{"another gcDelay", func(v *View) {
			v.Replicas[0].GraceSeconds = 3600
			v.Replicas = append(v.Replicas, ready("b", func(r *Peer) { r.GraceSeconds = 86400 }))
		}, []string{"wrong grace-differs"}},
		{"another gcDelay, of one that is gone", func(v *View) {
			v.Replicas[0].GraceSeconds = 3600
			v.Replicas = append(v.Replicas, ready("b", func(r *Peer) { lost(2 * time.Hour)(r); r.GraceSeconds = 86400 }))
		}, []string{"note replica-lost"}},
		{"damage", func(v *View) { v.Stores[0].Scrub.Damaged = 1 }, []string{"wrong damaged"}},
		{"a pass failed", func(v *View) { v.Stores[0].Collector.Last.Failed = "gone" }, []string{"wrong collector-failed"}},
		{"no pass for long", func(v *View) { v.Stores[0].Collector.Ended = at.Add(-49 * time.Hour) }, []string{"wrong collector-late"}},
		{"nobody collects, as it should be", func(v *View) {
			v.Stores[0].Collector.Enabled, v.Stores[0].Collector.Ended = false, at.Add(-49*time.Hour)
		}, nil},
		{"a pass was cut off", func(v *View) { v.Stores[0].Collector.Running = &Running{Started: at.Add(-time.Hour)} }, []string{"note collector-cut-off"}},
		{"it may not delete", func(v *View) { v.Stores[0].SelfTest.CanDelete = false }, []string{"wrong cannot-delete"}},
		{"a warning", func(v *View) { v.Stores[0].SelfTest.Warnings = []string{"hm"} }, []string{"note self-test"}},
		{"a part cannot be read", func(v *View) { v.Stores[0] = Store{Path: "/", Errors: []string{"format: gone"}} }, []string{"wrong store-unreadable"}},
		{"a feature that one does not know", func(v *View) {
			v.Stores[0].Features = []FeatureState{{Name: "dense", Enabled: true}}
			v.Replicas = append(v.Replicas, ready("b", func(r *Peer) { r.Features = []string{"dense"} }))
		}, []string{"wrong feature-unknown"}},
		{"what is wrong comes first", func(v *View) {
			v.Stores[0].SelfTest.Warnings, v.Stores[0].Scrub.Damaged = []string{"hm"}, 1
		}, []string{"wrong damaged", "note self-test"}},
	} {
		v := well()
		row.change(&v)
		var got []string
		for _, p := range problems(v) {
			got = append(got, string(p.Severity)+" "+p.Kind)
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

func TestTable(t *testing.T) {
	v := well()
	v.Replicas = append(v.Replicas, ready("b", func(r *Peer) { r.State, r.Seen = Lost, at.Add(-90*time.Second) }))
	v.Stores[0].SelfTest.Warnings = []string{"it is slow"}
	v.Stores[0].Features = []FeatureState{{Name: "dense", Known: true}}
	v.Problems = problems(v)
	var out bytes.Buffer
	if err := v.WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	want := `ONE THING IS WRONG, at 2030-01-02T03:04:05Z
  WRONG b: no heartbeat for 1m30s, and it did not say that it ends: the process or its host is gone, or does not reach the store
  note  /: it is slow

REPLICA  STATE  VERSION  UP     SEEN   IN FLIGHT  REQ/MIN  4XX  5XX  CUT  STORE p50/p99  FAILED  CLOCK  ADDRESS
a        ready  v1       26h0m  7s     0          100      0    0    0    4/20 ms        0/200   +0s    10.0.0.1:5000
b        LOST   v1       26h0m  1m30s  0          100      0    0    0    4/20 ms        0/200   +0s    10.0.0.1:5000

store /
  format     1; can be enabled: dense
  self-test  passed as tier A, MinIO, by v1, 3h0m ago
  collector  the last pass ended 1h0m ago: found 0, freed 0 (0 bytes), left alone 0
  scrub      the last round ended 8h0m ago: 10 blobs, 100 bytes, 0 damaged, 0 skipped
`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(out.String(), "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestChanges(t *testing.T) {
	old, now := well(), well()
	if got := Changes(old, now); len(got) > 0 {
		t.Errorf("nothing changed: %v", got)
	}
	old.Replicas = append(old.Replicas, ready("gone", nil))
	now.Replicas[0].State = Draining
	now.Replicas[0].Requests.Total++ // of no interest
	now.Replicas = append(now.Replicas, ready("new", nil))
	now.Stores[0].Collector.Holder, now.Stores[0].Collector.Running = "new:1", &Running{Started: at}
	now.Stores[0].Collector.Ended = at
	now.Stores[0].Scrub.Damaged = 2
	now.Stores[0].Features = []FeatureState{{Name: "dense", Enabled: true}}
	old.Problems, now.Problems = []Problem{{Kind: "clock", Subject: "a"}}, []Problem{{Kind: "damaged", Subject: "/"}, {Kind: "self-test", Subject: "/"}}
	var got []string
	for _, c := range Changes(old, now) {
		got = append(got, c.Kind+" "+c.Subject)
	}
	want := []string{
		"replica-state a", "replica-joined new", "replica-left gone", "pass-began /", "pass-ended /", "damage-found /", "feature-enabled /",
		"problem /", "problem /", "problem-gone a",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	later := now
	later.Stores = slices.Clone(now.Stores)
	later.Stores[0].Collector = &Collector{Enabled: true, Ended: at}
	if got := Changes(now, later); len(got) > 0 {
		t.Errorf("a pass that is over began: %v", got)
	}
}

// TestNewerHeartbeat: what a later version writes, and this one cannot read, counts as a process, and as one that knows nothing.
func TestNewerHeartbeat(t *testing.T) {
	b := seen{id: "x", unreadable: bytes.ErrTooLarge}
	b.Modified = at.Add(-time.Second)
	if p := b.shown(at); p.State != NotReady || p.Why == "" {
		t.Errorf("%+v", p)
	}
	states := featureStates(format.Contract{}, []seen{b}, []format.Feature{{Name: "dense"}}, at)
	if len(states) != 1 || len(states[0].Blockers) != 1 || !strings.Contains(states[0].Blockers[0].String(), "cannot read") {
		t.Errorf("%+v", states)
	}
}
