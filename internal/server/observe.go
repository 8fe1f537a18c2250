package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/observe/metrics"
	"holdfast/internal/observe/request"
	"holdfast/internal/observe/stores"
	"holdfast/internal/observe/trace"
	"holdfast/internal/registry"
)

// watch begins what is told of the process: its state, its traces, and the listener for those who watch it, which is there before any store is
// and until the drain has ended. Errors: ErrRefused. The caller calls stop.
func (s *Server) watch(ctx context.Context) (stop func(), err error) {
	s.metrics.State(metrics.State{
		Ready:    func() bool { status, _ := s.health.state(); return status == http.StatusOK },
		Draining: s.health.draining.Load,
		Refused:  func() bool { return s.health.refused.Load() != nil },
		Silent:   s.silentFor,
		Memory:   s.budget.InUse,
		Warm:     s.budget.Warm,
	})
	if s.cfg.Auth.Htpasswd != "" {
		s.metrics.PasswordFile(func() bool { return !s.badFile.Load() })
	}
	traces := trace.Config{Endpoint: s.cfg.Observe.Traces, Version: s.cfg.Version}
	if s.tracer, err = trace.Open(ctx, traces, os.LookupEnv, s.log); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := s.openAudit(); err != nil {
		return nil, errors.Join(err, s.endTraces(ctx))
	}
	stopListening, err := s.listenForWatchers(ctx)
	if err != nil {
		s.closeAudit(ctx)
		return nil, errors.Join(err, s.endTraces(ctx))
	}
	return func() {
		stopListening()
		s.closeAudit(ctx)
		if err := s.endTraces(ctx); err != nil {
			s.log.WarnContext(ctx, "the last traces were not sent", "err", err)
		}
	}, nil
}

// silentFor is how long the stores have not answered, also while they were never opened.
func (s *Server) silentFor() time.Duration {
	if !s.health.started.Load() {
		return time.Since(s.health.born)
	}
	return s.health.silentFor()
}

// endTraces sends the last traces, in endTime at most.
func (s *Server) endTraces(ctx context.Context) error {
	if s.tracer == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return s.tracer.Close(ctx)
}

// storeObservers are told of what stores are asked.
func (s *Server) storeObservers() stores.Observers {
	if s.tracer == nil {
		return stores.Observers{s.metrics}
	}
	return stores.Observers{s.tracer, s.metrics}
}

// observed is a handler of requests with all that is told of them.
func (s *Server) observed(next http.Handler) http.Handler {
	cfg := request.Config{Route: s.route, Observers: []request.Observer{&s.edge, s.metrics, &s.recent, &s.flights}, Level: s.cfg.Observe.Requests, Client: shownClient}
	if s.tracer != nil {
		cfg.Observers = []request.Observer{s.tracer, &s.edge, s.metrics, &s.recent, &s.flights}
	}
	if s.audit != nil {
		cfg.Observers = append(cfg.Observers, s.audit)
	}
	return request.Handler(next, cfg, s.log)
}

// route says, to those who watch, what the path of a request means.
func (s *Server) route(r *http.Request) request.Route {
	path := r.URL.Path
	switch {
	case path == "/livez" || path == "/readyz" || path == "/startupz":
		return request.Route{Name: "health", Path: path, Quiet: true}
	case s.cfg.MetricsPath != "" && path == s.cfg.MetricsPath:
		return request.Route{Name: "metrics", Path: path, Quiet: true}
	case path == gcPath:
		return request.Route{Name: "gc", Path: path}
	case strings.HasPrefix(path, "/auth/"), strings.HasPrefix(path, "/zot/auth/"):
		return request.Route{Name: "auth", Path: r.URL.EscapedPath()}
	case strings.HasPrefix(path, "/v2/_holdfast/"):
		return request.Route{Name: "operator", Path: r.URL.EscapedPath()}
	}
	return api.RouteOf(r)
}

// show adds the metrics of an open store.
func (s *Server) show(st *store) {
	s.metrics.Store(st.path, st.hints, &st.scrubbed)
	memories := st.registry.Memories()
	if st.warm != nil && st.cache == nil {
		memories["segment"] = (*registry.Lookups)(st.warm)
	}
	s.metrics.Memories(st.path, memories)
	s.metrics.Quotas(st.path, st.quotas)
	if st.remembered != nil {
		s.metrics.Remembered(st.path, st.remembered.Counts(), st.remembered.Shares())
	}
	if st.member != nil {
		s.metrics.Heartbeat(st.path, st.member.Silent)
	}
	if st.cache != nil {
		s.metrics.Cache(st.path, st.cache.Counts(), st.cache.Bytes)
	}
	if st.client != nil {
		s.metrics.Silent(st.path, st.client.Silent)
	} else if st.cfg.Dir != "" {
		s.metrics.Disk(st.path, func() (free, size uint64, ok bool) { return diskSpace(st.cfg.Dir) })
	}
}

// listenForWatchers serves metrics, health and profiles at Observe.AdminAddress, if there is one. Errors: ErrRefused.
func (s *Server) listenForWatchers(ctx context.Context) (stop func(), err error) {
	if s.cfg.Observe.AdminAddress == "" {
		return func() {}, nil
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", s.cfg.Observe.AdminAddress)
	if err != nil {
		return nil, fmt.Errorf("%w: http.adminAddress: listen on %s: %w", ErrRefused, s.cfg.Observe.AdminAddress, err)
	}
	srv := &http.Server{
		Handler: s.watchersHandler(), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	s.log.InfoContext(ctx, "listening for metrics, health and profiles", "address", listener.Addr().String())
	go func() { _ = srv.Serve(listener) }() // ends by Shutdown or Close
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // nobody waits for a profile of a process that ends
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close()
		}
	}, nil
}

func (s *Server) watchersHandler() http.Handler {
	mux := http.NewServeMux()
	s.health.register(mux)
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
