package simulate

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// mostFaults is how many faults one run of a walk has at most.
const mostFaults = 3

// Walk runs a scenario once for each seed from first on, with choices at random, until n are done, one fails
// or the time is over. Every so often it runs a seed twice: both must give the same history.
func Walk(t *testing.T, s *Scenario, first uint64, n int, until time.Time) Result {
	start := time.Now()
	r := Result{Scenario: s.Name}
	memory := &judged{known: map[string]bool{}}
	for seed := first; seed < first+uint64(n) && time.Now().Before(until); seed++ {
		d := newDice(seed)
		twice := seed%64 == first%64
		out := play(t, s, d, memory, twice)
		r.count(out)
		if twice {
			if other := play(t, s, newDice(seed), memory, true); other.history != out.history {
				r.Failure = &Failure{Scenario: s.Name, Seed: seed, Broken: []string{"the simulation itself is broken: one seed, two histories"}, Lines: difference(out, other)}
				break
			}
		}
		if len(out.broken) > 0 {
			r.Failure = shorten(t, s, d.taken, memory)
			if len(r.Failure.Broken) == 0 {
				r.Failure.Broken = append([]string{"not broken when run again; at first:"}, out.broken...)
			}
			r.Failure.Seed = seed
			break
		}
	}
	r.Took = time.Since(start)
	return r
}

func (r *Result) count(out outcome) {
	r.Runs++
	r.Steps += out.steps
	for f, n := range out.injected {
		if fault(f) != faultNone {
			r.Faults += n
		}
	}
	if out.finished {
		r.Ended++
	}
}

// difference returns the first lines in which two runs differ, and those before.
func difference(a, b outcome) []string {
	for i, line := range a.lines {
		if i >= len(b.lines) || b.lines[i] != line {
			other := "(ended)"
			if i < len(b.lines) {
				other = b.lines[i]
			}
			return append(a.lines[:i:i], fmt.Sprintf("first: %s", line), fmt.Sprintf("then:  %s", other))
		}
	}
	return []string{"the same lines", a.history, b.history}
}

// dice is a chooser that draws from a seed: how often clients take turns and how often something goes wrong
// is drawn for each run.
type dice struct {
	rng    *rand.Rand
	turns  float64
	wrong  float64
	faults int
	step   int
	taken  []deviation
}

func newDice(seed uint64) *dice {
	rng := rand.New(rand.NewPCG(seed, 0x5eed))
	return &dice{
		rng:   rng,
		turns: []float64{0.05, 0.2, 0.5, 0.9}[rng.IntN(4)],
		wrong: []float64{0, 0.02, 0.05, 0.1}[rng.IntN(4)],
	}
}

func (d *dice) choose(w *world, ops []*op) (choice, bool) {
	step := d.step
	d.step++
	var c choice
	if d.rng.Float64() < d.turns {
		c.op = d.rng.IntN(len(ops))
	}
	var possible []fault
	if d.faults < mostFaults && d.rng.Float64() < d.wrong {
		for f := faultNone + 1; f < faults; f++ {
			if f.possible(ops[c.op]) && w.scenario.allows(f) {
				possible = append(possible, f)
			}
		}
	}
	if len(possible) > 0 {
		c.fault = possible[d.rng.IntN(len(possible))]
		d.faults++
	}
	if !c.fault.possible(ops[c.op]) {
		c = choice{} // what was given up lands only as a fault
	}
	if c != (choice{}) {
		d.taken = append(d.taken, deviation{step, c})
	}
	return c, true
}
