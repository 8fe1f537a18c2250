package simulate

import (
	"fmt"
	"testing"
	"testing/synctest"
)

// outcome is what came of one run.
type outcome struct {
	broken   []string
	history  string
	lines    []string
	steps    int
	finished bool
	injected [faults]int
}

// play runs a scenario once, with the choices of c.
func play(t *testing.T, s *Scenario, c chooser, memory *judged, verbose bool) outcome {
	var out outcome
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t.Context(), s)
		w.verbose = verbose
		if d, ok := c.(*depthFirst); ok {
			w.contention = d.contention
		}
		w.setUp()
		w.unknown, w.step = nil, w.step+1
		w.free = false
		w.running = len(s.Clients)
		for i, script := range s.Clients {
			go w.client(i, script)
		}
		start := w.step
		out.finished = w.schedule(c)
		out.steps = w.step - start
		if out.finished && len(w.broken) == 0 {
			w.conclude(memory)
		} else {
			w.stop()
		}
		out.broken, out.lines, out.injected = w.broken, w.lines, w.injected
		for _, f := range w.history {
			if !verbose {
				break
			}
			out.history += fmt.Sprintf("%s %d %d %s\n", f.by, f.call, f.ret, f)
		}
	})
	return out
}
