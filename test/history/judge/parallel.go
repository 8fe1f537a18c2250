package judge

import "golang.org/x/sync/errgroup"

// parallel is how many objects are judged at once.
const parallel = 2

// each calls do for each key, some at once.
func each[K any](keys []K, do func(K)) {
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, k := range keys {
		g.Go(func() error { do(k); return nil })
	}
	_ = g.Wait() // none returns an error
}
