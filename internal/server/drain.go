package server

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"holdfast/internal/observe/request"
)

// drain ends the server. It is not ready first, so that load balancers send no more; then what is in flight ends, while the server goes on listening: a
// balancer that finds nobody there takes the replica for dead, and may cut what is in flight in it. With a delay of 0 it stops listening at once, for balancers
// that do not ask whether a replica is ready.
func (s *Server) drain(ctx context.Context, srv *http.Server) error {
	ctx = context.WithoutCancel(ctx)
	s.health.draining.Store(true)
	cfg := s.now()
	s.log.InfoContext(ctx, "draining", "delay", cfg.DrainDelay, "timeout", cfg.DrainTimeout)
	s.stopping(ctx, cfg.DrainDelay+cfg.DrainTimeout)
	s.tellOthers()
	sleep(ctx, cfg.DrainDelay)
	ctx, cancel := context.WithTimeout(ctx, cfg.DrainTimeout)
	defer cancel()
	if cfg.DrainDelay > 0 {
		s.flights.landed(ctx)
	}
	if err := srv.Shutdown(ctx); err != nil {
		s.log.WarnContext(ctx, "requests were still in flight at the end of the drain; clients go on at other replicas", "err", err)
		return srv.Close()
	}
	return nil
}

// flights counts the requests of clients that are in flight, by when they began. The zero value is ready for use.
type flights struct{ current atomic.Pointer[atomic.Int64] }

// Begin implements request.Observer.
func (f *flights) Begin(ctx context.Context, req *request.Request, _ *http.Request) (context.Context, func(request.Outcome)) {
	if req.Quiet {
		return ctx, func(request.Outcome) {}
	}
	n := f.current.Load()
	for n == nil {
		f.current.CompareAndSwap(nil, new(atomic.Int64))
		n = f.current.Load()
	}
	n.Add(1)
	return ctx, func(request.Outcome) { n.Add(-1) }
}

// landedEvery is how often landed looks.
const landedEvery = 20 * time.Millisecond

// landed waits until the requests that have begun have ended, or ctx. Those that begin meanwhile it does not wait for: where a balancer goes on to send
// some, there would be no end.
func (f *flights) landed(ctx context.Context) {
	begun := f.current.Swap(new(atomic.Int64))
	for begun != nil && begun.Load() > 0 && ctx.Err() == nil {
		sleep(ctx, landedEvery)
	}
}
