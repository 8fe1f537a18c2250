package simulate

import (
	"flag"
	"regexp"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

var (
	full     = flag.Bool("full", false, "explore every scenario to its full bound")
	each     = flag.Duration("each", 2*time.Second, "with -full: the time for one scenario; what is reached by then is printed")
	duration = flag.Duration("duration", 0, "walk by seeds for so long")
	seed     = flag.Uint64("seed", 1, "the first seed")

	hunt   = flag.String("hunt", "^$", "TestHunt: a pattern of the names of the scenarios to explore")
	budget = flag.Duration("budget", time.Minute, "TestHunt: for how long")
)

// TestMain collects garbage less often than usual: each run leaves some, and there is little else.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	m.Run()
}

// TestScenarios explores each scenario: to one preemption, with -full to two and one fault.
func TestScenarios(t *testing.T) {
	bounds, limit := []Bound{{0, 0}, {1, 0}}, time.Minute
	if *full {
		bounds, limit = append(bounds, Bound{0, 1}, Bound{1, 1}, Bound{2, 0}, Bound{2, 1}), *each
	}
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			report(t, Explore(t, s, bounds, limit))
		})
	}
}

// fewestCases is how many single faults there are to enumerate, at least.
const fewestCases = 500

// TestSingleFaults runs each operation by itself with each fault at each of its store operations.
func TestSingleFaults(t *testing.T) {
	total := 0
	for _, s := range singleScenarios() {
		t.Run(s.Name, func(t *testing.T) {
			r := Enumerate(t, s)
			t.Logf("%s: %s", s.Name, r)
			if total += r.Cases; r.Failure != nil {
				t.Error(r.Failure)
			}
		})
	}
	t.Logf("single faults: %d cases", total)
	if total < fewestCases {
		t.Errorf("%d cases, want at least %d", total, fewestCases)
	}
}

// TestSeeds walks through schedules that are drawn at random.
func TestSeeds(t *testing.T) {
	limit, n := 300*time.Millisecond, 20
	switch {
	case *duration > 0:
		limit, n = *duration*time.Duration(runtime.GOMAXPROCS(0))/time.Duration(len(Scenarios())), 1<<40
	case *full:
		n = 300
	}
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			report(t, Walk(t, s, *seed, n, time.Now().Add(limit)))
		})
	}
}

func report(t *testing.T, r Result) {
	t.Helper()
	t.Logf("%s: %s", r.Scenario, r)
	if r.Failure != nil {
		t.Error(r.Failure)
	}
}

// TestHunt looks for a planted bug: all scenarios within a small bound first, then within larger ones, then
// by seeds, until something is found or the budget is spent. To find nothing is no failure here: who planted
// the bug knows better.
func TestHunt(t *testing.T) {
	pattern := regexp.MustCompile(*hunt)
	until := time.Now().Add(*budget)
	var hunted []*Scenario
	for _, s := range Scenarios() {
		if pattern.MatchString(s.Name) {
			hunted = append(hunted, s)
		}
	}
	for _, b := range []Bound{{0, 0}, {1, 0}, {0, 1}, {2, 0}, {1, 1}} {
		for _, s := range hunted {
			if r := Explore(t, s, []Bound{b}, time.Until(until)/2); r.Failure != nil {
				t.Fatal(r.Failure)
			}
		}
	}
	for first := *seed; time.Now().Before(until) && len(hunted) > 0; first += 200 {
		for _, s := range hunted {
			if r := Walk(t, s, first, 200, until); r.Failure != nil {
				t.Fatal(r.Failure)
			}
		}
	}
}
