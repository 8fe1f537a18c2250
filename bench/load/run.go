package load

import (
	"context"
	"sync"
	"time"
)

// Operation does one thing once, for one of the clients, which have the numbers from 0 on. It may say itself how long what counts of it
// took; 0: all of it counts.
type Operation func(ctx context.Context, client int) (took time.Duration, err error)

// Plain is an operation of which all counts.
func Plain(f func(ctx context.Context, client int) error) Operation {
	return func(ctx context.Context, client int) (time.Duration, error) { return 0, f(ctx, client) }
}

// Result is what clients did.
type Result struct {
	Took   []time.Duration // of each operation that succeeded
	Rate   float64         // of these, in a second: the sum over the clients of what each did while it was busy
	Wall   time.Duration   // from the first begin to the last end
	Errors int
	Err    error // the first
}

// Run has n clients do op again and again until span has passed, or once each when span is 0; what has begun then is done to its end, and
// counts. A client waits a little after an error, so that what fails at once does not look fast.
func Run(ctx context.Context, n int, span time.Duration, op Operation) Result {
	return run(ctx, n, op, func(_ int, busy time.Duration) bool { return busy >= span })
}

// Times is Run, but each client does op so often, at least once.
func Times(ctx context.Context, n, times int, op Operation) Result {
	return run(ctx, n, op, func(done int, _ time.Duration) bool { return done >= times })
}

// run has n clients do op until enough says so of what one of them has done, errors included, and how long it was busy.
func run(ctx context.Context, n int, op Operation, enough func(done int, busy time.Duration) bool) Result {
	var (
		mu     sync.Mutex
		all    Result
		wg     sync.WaitGroup
		begin  = make(chan struct{})
		began  time.Time
		record = func(one Result, busy time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			all.Took = append(all.Took, one.Took...)
			all.Errors += one.Errors
			if all.Err == nil {
				all.Err = one.Err
			}
			if busy > 0 {
				all.Rate += float64(len(one.Took)) / busy.Seconds()
			}
		}
	)
	for client := range n {
		wg.Go(func() {
			<-begin
			var one Result
			for {
				from := time.Now()
				took, err := op(ctx, client)
				switch {
				case err != nil:
					one.Errors++
					if one.Err == nil {
						one.Err = err
					}
					time.Sleep(20 * time.Millisecond)
				case took == 0:
					one.Took = append(one.Took, time.Since(from))
				default:
					one.Took = append(one.Took, took)
				}
				if enough(len(one.Took)+one.Errors, time.Since(began)) || ctx.Err() != nil {
					break
				}
			}
			record(one, time.Since(began))
		})
	}
	began = time.Now()
	close(begin)
	wg.Wait()
	all.Wall = time.Since(began)
	return all
}
