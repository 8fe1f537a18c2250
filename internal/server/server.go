package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/revoke"
	"holdfast/internal/access/guard"
	"holdfast/internal/api"
	"holdfast/internal/audit"
	"holdfast/internal/cluster"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/observe/metrics"
	"holdfast/internal/observe/recent"
	"holdfast/internal/observe/request"
	"holdfast/internal/observe/trace"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

var (
	// ErrRefused is something that an operator must change: a setting, an address in use, a store that
	// answers and must not be used. Trying again does not help.
	ErrRefused = errors.New("refused")
	// ErrUnavailable is a store that did not answer in time at the start.
	ErrUnavailable = errors.New("the store does not answer")
)

// Times of the HTTP server and of the start.
const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 32 << 10
	openTimeout       = 30 * time.Second // one attempt to open all stores
	exitTimeout       = 10 * time.Second // with ExitIfUnavailable
	retryDelay        = time.Second
)

// Server is a running replica.
type Server struct {
	cfg    Config
	log    *slog.Logger
	health *health
	api    atomic.Pointer[api.Handler]
	budget *datas3.Budget
	stores []*store

	metrics *metrics.Metrics
	tracer  *trace.Tracer // nil: nothing is traced

	edge    edging
	reload  reloading
	recent  recent.Requests // of the API
	flights flights         // the same
	address atomic.Pointer[string]
	desk    *cluster.Desk // set with api
	audit   *audit.Log    // nil: there is none

	door     atomic.Pointer[door]
	failures *authn.Failures
	scrape   http.Handler // of the metrics
	replicas atomic.Int64 // about how many there are
	revoked  *revoke.List // of the root's store; nil before it is open
	badFile  atomic.Bool  // the file of passwords cannot be read now, or has a mistake
}

// Run serves until ctx ends, then drains and returns nil. ready, if not nil, is called with the address
// once it listens. Errors: ErrRefused, ErrUnavailable, or what went wrong while serving.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func(net.Addr)) (err error) {
	log = slog.New(request.Logs(log.Handler()))
	s := &Server{cfg: cfg, log: log, health: newHealth(), metrics: metrics.New(cfg.Version)}
	if cfg.AgesDivisor > 1 {
		log.WarnContext(ctx, "all ages are divided, for a test: an image may be collected while a slow client pushes it", "by", cfg.AgesDivisor)
	}
	if s.budget, err = datas3.NewBudget(cfg.MemoryBudget); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	s.begin(ctx)
	s.failures = authn.NewFailures(func() int { return int(s.replicas.Load()) })
	if err := s.openDoor(ctx, cfg, nil); err != nil {
		return errors.Join(err, s.budget.Close())
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if err := s.openEdge(ctx); err != nil {
		return err
	}
	stopWatching, err := s.watch(ctx)
	if err != nil {
		return err
	}
	defer stopWatching()
	opened, err := s.firstOpen(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	listener, err := s.listen(ctx)
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	s.address.Store(&address)
	if ready != nil {
		ready(listener.Addr())
	}
	return s.serve(ctx, listener, opened)
}

// firstOpen opens the stores before the server listens, so that what is refused never listens. false is a
// store that does not answer.
func (s *Server) firstOpen(ctx context.Context) (bool, error) {
	deadline := time.Now().Add(exitTimeout)
	for {
		err := s.open(ctx)
		switch {
		case err == nil:
			return true, nil
		case ctx.Err() != nil:
			return false, nil
		case !mayComeBack(err):
			return false, err
		case !s.cfg.ExitIfUnavailable:
			s.log.WarnContext(ctx, "the store does not answer: listening, not ready, trying on", "err", err)
			return false, nil
		case time.Now().After(deadline):
			return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		sleep(ctx, retryDelay)
	}
}

// mayComeBack reports whether err is that of a store that did not answer, and that was not refused: a
// directory's store says unavailable too, of a database that another process has or that is damaged.
func mayComeBack(err error) bool {
	return errors.Is(err, record.ErrUnavailable) && !errors.Is(err, ErrRefused)
}

// open opens all stores and puts the API over them into service.
func (s *Server) open(ctx context.Context) error {
	openCtx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	opened, err := openStores(openCtx, s.opening(), s.asReplica(), s.budget, s.storeObservers(), s.log)
	if err != nil {
		return err
	}
	return s.use(ctx, opened)
}

// use puts the API over open stores into service. Errors: ErrRefused.
func (s *Server) use(ctx context.Context, opened []*store) error {
	s.reload.mu.Lock()
	defer s.reload.mu.Unlock()
	s.stores = opened
	s.countTogether(opened[0])
	if err := s.openDoor(ctx, s.now(), opened[0]); err != nil {
		return err
	}
	for _, st := range opened {
		s.show(st)
		st.counted = s.metrics
	}
	r := opened[0].limited(opened[0].noting(ctx, s.cfg.AgesDivisor, s.log))
	var routes []registry.Route
	for _, sub := range opened[1:] {
		routes = append(routes, registry.Route{Path: strings.Trim(sub.path, "/"), To: sub.limited(sub.noting(ctx, s.cfg.AgesDivisor, s.log))})
	}
	if len(routes) > 0 {
		r = registry.NewRoutes(r, routes)
	}
	s.desk = newDesk(opened)
	s.api.Store(api.New(guard.New(r, s.rules), s.apiConfig()))
	s.health.answered()
	s.health.served = s.served
	s.configure(ctx)
	s.health.started.Store(true)
	return nil
}

func (s *Server) close(ctx context.Context) error {
	s.door.Load().end()
	var errs []error
	for _, st := range s.stores {
		errs = append(errs, st.close(ctx))
	}
	return errors.Join(append(errs, s.budget.Close())...)
}

// serve runs the HTTP server until ctx ends and everything is drained.
func (s *Server) serve(ctx context.Context, listener net.Listener, opened bool) error {
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if opened {
		defer s.listenAdmin(ctx, working, listener.Addr().String())()
	}
	background := make(chan struct{})
	var house *housekeeping // to be read once background is closed
	go func() {
		defer close(background)
		if !opened {
			if err := s.openLater(working); err != nil {
				stop(err)
				return
			}
			defer s.listenAdmin(ctx, working, listener.Addr().String())()
		}
		house = s.keepHouse(working)
		s.work(working)
	}()
	srv := &http.Server{
		Handler:                      s.handler(working.Done()),
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:                  func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	s.protocols(srv)
	served := make(chan error, 1)
	go func() { served <- s.accept(srv, listener) }()
	s.log.InfoContext(ctx, "listening", "address", listener.Addr().String(), "tls", s.edge.certs != nil, "version", s.cfg.Version, "ready", opened)
	defer s.supervise(ctx, working, listener.Addr())()
	var failed error
	select {
	case failed = <-served:
		stop(nil)
	case <-working.Done():
		if cause := context.Cause(working); ctx.Err() == nil && cause != nil {
			failed = cause // refused after the start
		}
		failed = errors.Join(failed, s.drain(ctx, srv))
	}
	stop(nil)
	<-background
	if err := house.end(ctx, s.stores); err != nil {
		s.log.WarnContext(ctx, "work beside the requests was cut off at the end; other replicas, or a full pass of the collector, make up for it", "err", err)
	}
	return failed
}

// openLater opens the stores of a server that listens already. It returns an error when one is refused.
func (s *Server) openLater(ctx context.Context) error {
	for {
		sleep(ctx, retryDelay)
		err := s.open(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			s.log.InfoContext(ctx, "the store answers: ready")
			return nil
		case !mayComeBack(err):
			return err
		}
	}
}

// work watches the stores until ctx ends. Beside that it tests the S3 stores that an earlier self-test
// vouched for, and lets them be raced for together with the other replicas.
func (s *Server) work(ctx context.Context) {
	var beside sync.WaitGroup
	defer beside.Wait()
	for _, st := range s.stores {
		if st.client == nil {
			continue
		}
		judge := func(err error) { s.judge(ctx, st, err) }
		if st.retest {
			beside.Go(func() { st.selfTest(ctx, s.cfg.Version, judge) })
		}
		beside.Go(func() { st.meetOthers(ctx, judge) })
	}
	beside.Go(func() { s.countReplicas(ctx) })
	s.health.watch(ctx, s.answers)
}

// served is how long ago every store did what somebody asked it for.
func (s *Server) served() (longest time.Duration) {
	for _, st := range s.stores {
		if st.client == nil {
			return math.MaxInt64 // only the watch asks it
		}
		longest = max(longest, st.client.Served())
	}
	return longest
}

// answers asks all stores at once whether they answer.
func (s *Server) answers(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, st := range s.stores {
		g.Go(func() error { return st.answers(gctx) })
	}
	return g.Wait()
}

// judge acts on the outcome of a test in the background: a store that fails one must not be used any more.
func (s *Server) judge(ctx context.Context, st *store, err error) {
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.Is(err, ErrRefused):
		st.halt()
		s.log.ErrorContext(ctx, "the store failed its self-test: not ready any more", "store", st.name, "err", err)
		s.health.refused.Store(err.Error())
	default:
		s.log.WarnContext(ctx, "the store's self-test could not be made", "store", st.name, "err", err)
	}
}

// handler serves the health endpoints and, once the stores are open, the API and the operator's endpoint, whose work ends when ending is closed.
func (s *Server) handler(ending <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	s.health.register(mux)
	s.scrape = s.metrics.Handler()
	return s.observed(s.limited(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.health.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		switch r.URL.Path {
		case "/livez", "/readyz", "/startupz":
			closeAfterBody(w, r)
			mux.ServeHTTP(w, r)
			return
		case gcPath:
			s.serveGC(w, r, ending)
			return
		case clusterPath, eventsPath:
			s.serveCluster(w, r, ending)
			return
		}
		s.enter(w, r)
	})))
}

// closeAfterBody ends the connection after a request with a body, which nobody reads here: so it is not waited for, and
// what follows it is never taken for a request. HTTP/1.0 may hide that there is one.
func closeAfterBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 && r.ProtoAtLeast(1, 1) {
		return
	}
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second)) // not supported by test recorders only
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
