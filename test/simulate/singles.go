package simulate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Singles is what an enumeration of single faults did to one operation.
type Singles struct {
	Scenario string
	Requests int            // store operations of the run in which nothing goes wrong
	Cases    int            // runs with one fault: each fault that is possible, at each store operation
	By       map[string]int // the cases, by fault
	Took     time.Duration
	Failure  *Failure
}

// String says what was done, in a line.
func (s Singles) String() string {
	var by []string
	for f := faultNone + 1; f < faults; f++ {
		if n := s.By[f.String()]; n > 0 {
			by = append(by, fmt.Sprintf("%s %d", f, n))
		}
	}
	return fmt.Sprintf("%d cases at %d store operations (%s), %s", s.Cases, s.Requests, strings.Join(by, ", "), s.Took.Round(time.Millisecond))
}

// Enumerate runs a scenario of one client once for each of its store operations and each fault that can happen
// to it. What failed is sent again, at a replica that is well, and must succeed; then the contract is checked.
func Enumerate(t *testing.T, s *Scenario) Singles {
	start := time.Now()
	memory := &judged{known: map[string]bool{}}
	out := Singles{Scenario: s.Name, By: map[string]int{}}
	for step := 0; ; step++ {
		p := &probe{at: step}
		if first := play(t, s, p, memory, false); len(first.broken) > 0 {
			out.Failure = shorten(t, s, nil, memory)
			break
		}
		if p.seen == nil {
			break // past the end
		}
		if p.seen.verb != verbBegin && p.seen.verb != verbPass {
			out.Requests++
		}
		for f := faultNone + 1; f < faults; f++ {
			if !f.possible(p.seen) || !s.allows(f) {
				continue
			}
			failing := []deviation{{step, choice{0, f}}}
			run := play(t, s, &replay{todo: slices.Clone(failing)}, memory, false)
			out.Cases++
			out.By[f.String()]++
			if len(run.broken) > 0 {
				out.Failure = shorten(t, s, failing, memory)
				break
			}
		}
		if out.Failure != nil {
			break
		}
	}
	out.Took = time.Since(start)
	return out
}

// probe takes choice 0 everywhere and notes the operation of one step.
type probe struct {
	at, step int
	seen     *op
}

func (p *probe) choose(_ *world, ops []*op) (choice, bool) {
	if p.step == p.at {
		p.seen = ops[0]
	}
	p.step++
	return choice{}, true
}
