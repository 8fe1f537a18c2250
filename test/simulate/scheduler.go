package simulate

import (
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

// choice is what a chooser decides at a step: which of the waiting operations goes next (0 is the one that a
// run without preemption takes), and what goes wrong with it.
type choice struct {
	op    int
	fault fault
}

// option is a choice with its price.
type option struct {
	choice
	preemptions int
	faults      int
}

// chooser decides. Choose gets the operations in canonical order; it returns false to break off the run.
type chooser interface {
	choose(w *world, ops []*op) (choice, bool)
}

// maxSteps ends a run that does not end by itself.
const maxSteps = 2000

// idleMost is how long, in the run's own time, nobody may ask anything of the store.
const idleMost = 3 * time.Hour

// schedule runs the clients to their end, one operation at a time.
func (w *world) schedule(c chooser) (finished bool) {
	var idle time.Duration
	for {
		synctest.Wait()
		w.settle()
		ops := w.runnable()
		if len(ops) == 0 {
			if w.running == 0 {
				return true
			}
			if idle > idleMost {
				w.breaks("stuck: a client waits for ever, and asks nothing of the store")
				return false
			}
			nap := 60*time.Millisecond + idle/4
			time.Sleep(nap)
			idle += nap
			continue
		}
		idle = 0
		if w.step >= maxSteps {
			w.breaks("no end after %d store operations", maxSteps)
			return false
		}
		chosen, ok := c.choose(w, ops)
		if !ok {
			return false
		}
		w.step++
		w.grant(ops[chosen.op], chosen.fault)
		if len(w.broken) > 0 {
			return false
		}
	}
}

// settle sorts what has arrived into what waits, and names it.
func (w *world) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.given {
		o.givenUp = true
		w.pending = slices.DeleteFunc(w.pending, func(p *op) bool { return p == o && !o.verb.writes() })
		w.arrived = slices.DeleteFunc(w.arrived, func(p *op) bool { return p == o && !o.verb.writes() })
	}
	w.given = w.given[:0]
	if len(w.arrived) == 0 {
		return
	}
	for _, o := range w.arrived {
		o.cause = w.trace.last
		w.names.name(o, false)
	}
	slices.SortFunc(w.arrived, compareOps)
	for _, o := range w.arrived {
		// An id that nobody has heard of before gets its number in an order that is the same in every run.
		w.names.name(o, true)
		o.by.seen[o.name]++
		if n := o.by.seen[o.name]; n > 1 {
			o.name = fmt.Sprintf("%s (%d)", o.name, n)
		}
	}
	w.pending = append(w.pending, w.arrived...)
	w.arrived = w.arrived[:0]
	slices.SortFunc(w.pending, compareOps)
}

func compareOps(a, b *op) int {
	if c := a.by.client - b.by.client; c != 0 {
		return c
	}
	if c := a.by.number - b.by.number; c != 0 {
		return c
	}
	return strings.Compare(a.name, b.name)
}

// runnable returns what may go next: the client that went last first, so that choice 0 is no preemption.
// What lands late, or was given up, comes last.
func (w *world) runnable() []*op {
	ops := make([]*op, 0, len(w.pending))
	asked := false
	for _, pass := range []func(o *op) bool{
		func(o *op) bool { return !o.late && !o.givenUp && o.by.client == w.current },
		func(o *op) bool { return !o.late && !o.givenUp && o.by.client != w.current },
		func(o *op) bool { return o.late },
		func(o *op) bool { return o.givenUp },
	} {
		for _, o := range w.pending {
			if pass(o) {
				ops = append(ops, o)
				asked = asked || !o.givenUp
			}
		}
	}
	if !asked {
		return nil // what was given up need not land
	}
	return ops
}

// options lists the choices among ops that a budget allows.
func (w *world) options(ops []*op, preemptions, faultsLeft int) []option {
	var out []option
	for i, o := range ops {
		price := w.price(ops, i)
		if price > preemptions {
			continue
		}
		for f := range faults {
			cost := 1
			if f == faultNone {
				cost = 0
			}
			if cost <= faultsLeft && f.possible(o) && w.scenario.allows(f) {
				out = append(out, option{choice{i, f}, price, cost})
			}
		}
	}
	return out
}

// price is how many preemptions it takes to choose ops[i]: none for the first operation of the client that
// went last, nor, when that has nothing to do, for the first of any other.
func (w *world) price(ops []*op, i int) int {
	o, first := ops[i], ops[0]
	switch {
	case i == 0:
		return 0
	case o.late || o.givenUp || first.by.client == w.current:
		return 1
	case ops[i-1].by.client == o.by.client:
		return 1
	}
	return 0
}

// grant performs an operation, or lets it fail, and lets its goroutine go on.
func (w *world) grant(o *op, f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.injected[f]++
	if f != faultNone {
		o.by.faults++
	}
	w.pending = slices.DeleteFunc(w.pending, func(p *op) bool { return p == o })
	w.trace.step(w, o, f)
	if w.contention != nil {
		w.contention.touch(o)
	}
	if !o.late && !o.givenUp {
		w.current = o.by.client
	}
	switch o.verb {
	case verbBegin:
		o.by.began = int64(2 * w.step)
		w.say("%4d  %s begins %s at replica %d", w.step, o.by.name, o.key, o.by.Replica)
		o.done <- answer{}
		return
	}
	var a answer
	if o.verb == verbPass {
		w.mu.Unlock() // contexts end meanwhile
		time.Sleep(o.pass)
		w.mu.Lock()
	}
	switch f {
	case faultRefused, faultLate:
		a.err = o.unavailable()
	case faultCrashBefore, faultCrashLate:
	case faultRival:
		o.rival()
		a.value, a.err = o.do()
	default:
		a.value, a.err = o.do()
	}
	w.sayOp(o, f, a)
	switch f {
	case faultLooked:
		a = answer{err: errLook}
	case faultLost:
		a = answer{err: o.unavailable()}
	case faultShort:
		a = breakReader(a, o.length)
	}
	if f == faultLate || f == faultTwice || f == faultCrashLate {
		again := *o
		again.late, again.name = true, "late "+o.name
		w.pending = append(w.pending, &again)
		slices.SortFunc(w.pending, compareOps)
	}
	if f.crashes() {
		w.crash(o.by.in)
		a.err = errCrashed
	}
	if !o.late && !o.givenUp {
		o.done <- a
	}
}

// crash ends a replica: nothing that it sends from now on is performed, and what waits is not either.
func (w *world) crash(in *incarnation) {
	in.dead = true
	w.crashes++
	w.say("        replica %d is dead", in.replica)
	kept := w.pending[:0]
	for _, o := range w.pending {
		if o.by.in == in && !o.late && !o.givenUp && o.verb != verbBegin {
			o.done <- answer{err: errCrashed}
			continue
		}
		kept = append(kept, o)
	}
	w.pending = kept
}

// stop ends everything: whoever waits gets an error.
func (w *world) stop() {
	w.mu.Lock()
	w.stopping = true
	waiting := append(w.pending, w.arrived...)
	w.pending, w.arrived = nil, nil
	w.mu.Unlock()
	for _, o := range waiting {
		if !o.late && !o.givenUp {
			o.done <- answer{err: errCrashed}
		}
	}
	synctest.Wait()
}
