package simulate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Bound is how far from a run without preemption and without faults an exploration goes. Within it every
// schedule is run, but for those that differ only in the order of operations that commute.
type Bound struct{ Preemptions, Faults int }

func (b Bound) String() string {
	return fmt.Sprintf("%d preemptions and %d faults", b.Preemptions, b.Faults)
}

func (b Bound) includes(other Bound) bool {
	return b.Preemptions >= other.Preemptions && b.Faults >= other.Faults
}

// deviation is a step at which a run does not take choice 0.
type deviation struct {
	step int
	choice
}

// Result is what an exploration or a walk did.
type Result struct {
	Scenario string
	Bounds   []Bound // those that were explored to the end; none for a walk
	Runs     int     // interleavings that were run
	Ended    int     // of them: run to the end, not broken off where a state was known
	Steps    int
	Faults   int
	Took     time.Duration
	Failure  *Failure
}

// Failure is a schedule that breaks something, shortened.
type Failure struct {
	Scenario string
	Seed     uint64 // of a walk
	Broken   []string
	Schedule []deviation
	Lines    []string
}

func (f *Failure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "scenario %q is broken", f.Scenario)
	if f.Seed != 0 {
		fmt.Fprintf(&b, " by seed %d", f.Seed)
	}
	b.WriteString(":\n")
	for _, s := range f.Broken {
		fmt.Fprintf(&b, "    %s\n", s)
	}
	fmt.Fprintf(&b, "  decisions (step, operation, fault): %v\n  the schedule, shortened:\n", f.Schedule)
	for _, line := range f.Lines {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	return b.String()
}

// explorer searches the schedules of one scenario depth first.
type explorer struct {
	t        *testing.T
	scenario *Scenario
	memory   *judged
	visited  map[uint64]uint32 // by state: with which budgets it was explored, a bit for each
	*contention
	result   Result
	deadline time.Time
}

// Explore runs all schedules of a scenario within each bound in turn, until one fails or the time is over.
func Explore(t *testing.T, s *Scenario, bounds []Bound, budget time.Duration) Result {
	start := time.Now()
	e := &explorer{
		t: t, scenario: s, memory: &judged{known: map[string]bool{}}, visited: map[uint64]uint32{}, contention: newContention(),
		result: Result{Scenario: s.Name}, deadline: start.Add(budget),
	}
	for _, b := range bounds {
		if !e.exploreAll(b) {
			break
		}
		e.result.Bounds = append(slices.DeleteFunc(e.result.Bounds, b.includes), b)
	}
	e.result.Took = time.Since(start)
	return e.result
}

// exploreAll explores b until nothing more is learnt of what clients contend for.
func (e *explorer) exploreAll(b Bound) bool {
	for {
		e.grew = false
		if !e.explore(b) {
			return false
		}
		if !e.grew {
			return true
		}
		clear(e.visited)
	}
}

// explore runs all schedules within b; false when it was broken off.
func (e *explorer) explore(b Bound) bool {
	stack := [][]deviation{nil}
	for len(stack) > 0 {
		prefix := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if time.Now().After(e.deadline) {
			return false
		}
		d := &depthFirst{explorer: e, prefix: prefix, left: b}
		out := play(e.t, e.scenario, d, e.memory, false)
		e.result.count(out)
		if len(out.broken) > 0 {
			e.result.Failure = shorten(e.t, e.scenario, d.taken, e.memory)
			return false
		}
		stack = append(stack, d.found...)
	}
	return true
}

// depthFirst takes the deviations of its prefix, choice 0 everywhere else, and notes what else it could have done.
type depthFirst struct {
	*explorer
	prefix []deviation
	left   Bound
	fresh  bool // the next state was noted when the prefix was found
	step   int
	taken  []deviation
	found  [][]deviation
}

func (d *depthFirst) choose(w *world, ops []*op) (choice, bool) {
	step := d.step
	d.step++
	if len(d.prefix) > 0 {
		if d.prefix[0].step != step {
			return choice{}, true
		}
		next := d.prefix[0]
		d.prefix = d.prefix[1:]
		if next.op >= len(ops) {
			w.breaks("the simulation itself is broken: the same choices lead elsewhere")
			return choice{}, false
		}
		d.left.Preemptions -= w.price(ops, next.op)
		if next.fault != faultNone {
			d.left.Faults--
		}
		d.taken = append(d.taken, next)
		d.fresh = len(d.prefix) == 0
		return next.choice, true
	}
	if state := w.trace.state(w); !d.fresh && d.seen(state, d.left) {
		return choice{}, false
	} else if d.fresh {
		d.fresh = false
		d.seen(state, d.left)
	}
	for _, o := range w.options(ops, d.left.Preemptions, d.left.Faults) {
		left := Bound{d.left.Preemptions - o.preemptions, d.left.Faults - o.faults}
		if o.choice != (choice{}) && d.worthwhile(w, ops, o) && !d.seen(w.trace.after(w, ops[o.op], o.fault), left) {
			d.found = append(d.found, append(slices.Clone(d.taken), deviation{step, o.choice}))
		}
	}
	return choice{}, true
}

// seen reports whether the state was explored with as much budget as is left, and notes that it is now.
func (d *depthFirst) seen(state uint64, left Bound) bool {
	bit := func(p, f int) uint32 { return 1 << (p*4 + f) }
	known := d.visited[state]
	for p := left.Preemptions; p < 8; p++ {
		for f := left.Faults; f < 4; f++ {
			if known&bit(p, f) != 0 {
				return true
			}
		}
	}
	d.visited[state] = known | bit(left.Preemptions, left.Faults)
	return false
}

// String says what was explored, in a line.
func (r Result) String() string {
	bound := "at random"
	for i, b := range r.Bounds {
		if i == 0 {
			bound = "all within "
		} else {
			bound += " or "
		}
		bound += b.String()
	}
	return fmt.Sprintf("%d interleavings (%d to the end, the others to a state that was known), %d store operations, %d faults, %s, %s",
		r.Runs, r.Ended, r.Steps, r.Faults, bound, r.Took.Round(time.Millisecond))
}
