package simulate

import (
	"slices"
	"testing"
)

// replay takes given deviations where they are possible.
type replay struct {
	todo  []deviation
	step  int
	taken []deviation
}

func (r *replay) choose(w *world, ops []*op) (choice, bool) {
	step := r.step
	r.step++
	for len(r.todo) > 0 && r.todo[0].step < step {
		r.todo = r.todo[1:]
	}
	if len(r.todo) == 0 || r.todo[0].step != step {
		return choice{}, true
	}
	next := r.todo[0]
	if next.op >= len(ops) {
		return choice{}, true
	}
	if !next.fault.possible(ops[next.op]) {
		if next.fault = faultNone; !next.fault.possible(ops[next.op]) {
			return choice{}, true
		}
	}
	if next.choice != (choice{}) {
		r.taken = append(r.taken, next)
	}
	return next.choice, true
}

// shorten takes deviations out of a failing schedule for as long as it still fails.
func shorten(t *testing.T, s *Scenario, failing []deviation, memory *judged) *Failure {
	fails := func(try []deviation) ([]deviation, bool) {
		r := &replay{todo: try}
		out := play(t, s, r, memory, false)
		return r.taken, len(out.broken) > 0
	}
	for chunk := max(len(failing)/2, 1); chunk > 0; chunk /= 2 {
		for from := 0; from < len(failing); {
			try := slices.Delete(slices.Clone(failing), from, min(from+chunk, len(failing)))
			if taken, still := fails(try); still {
				failing = taken
			} else {
				from += chunk
			}
		}
	}
	out := play(t, s, &replay{todo: failing}, memory, true)
	return &Failure{Scenario: s.Name, Broken: out.broken, Schedule: failing, Lines: out.lines}
}
