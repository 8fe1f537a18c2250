package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/edge"
	"holdfast/internal/edge/certs"
	"holdfast/internal/observe/metrics"
	"holdfast/internal/observe/request"
	"holdfast/internal/oci"
)

// Edge is what stands between the network and the API. The zero value is plain HTTP, where nobody is trusted and nothing limited.
type Edge struct {
	TLS           certs.Files // without Cert: plain HTTP
	H2C           bool        // HTTP/2 without TLS too
	Trusted       []string    // proxies, as edge.ParseTrusted takes them
	ProxyProtocol bool        // from Trusted
	ExternalURL   string      // how clients reach the registry, without a slash at its end; "": nobody said
	AllowOrigin   edge.Origins

	Rates             edge.Rates
	ClientConcurrency int   // requests of one client that are served at once; 0: no limit
	MaxUploads        int   // uploads that are served at once, of all clients; 0: as many as the memory for them allows
	MaxRequests       int   // and of all other requests
	MinBodyRate       int64 // bytes a second; 0: no bound
}

// merged is the Edge that a server which was started with e makes of the next: what the listener is made of stays.
func (e Edge) merged(next Edge) Edge {
	out := next
	out.H2C, out.ProxyProtocol = e.H2C, e.ProxyProtocol
	if (e.TLS.Cert == "") != (next.TLS.Cert == "") {
		out.TLS = e.TLS
	}
	return out
}

// Times and numbers of the listener.
const (
	certInterval  = 5 * time.Second // from one look at the files of TLS to the next
	maxStreams    = 100             // requests at once of a connection of HTTP/2
	pingAfter     = 30 * time.Second
	pingTimeout   = 15 * time.Second
	writeTimeout  = time.Minute      // of HTTP/2: no byte could be sent for so long
	answerTimeout = 30 * time.Second // for the short answers beside the API
)

// edging is a running server's Edge. The zero value is that of a zero Edge.
type edging struct {
	certs *certs.Keeper // nil: plain HTTP
	rules atomic.Pointer[edgeRules]
	crowd edge.Crowd

	together atomic.Pointer[edge.Together] // nil: replicas share no cache

	uploads, requests edge.Turns // requests belongs to one of them

	tooLong, tooOften, tooMany, overShare, busy atomic.Int64 // requests that were refused
}

// edgeRules are what can be changed while it runs.
type edgeRules struct {
	trusted     edge.Trusted
	origins     edge.Origins
	rates       edge.Rates
	limiter     *edge.Limiter
	concurrency int
	uploads     int // 0: see places
	requests    int
}

func (e *edging) now() *edgeRules {
	if rules := e.rules.Load(); rules != nil {
		return rules
	}
	return &edgeRules{limiter: edge.NewLimiter(edge.Rates{}, nil)}
}

// use goes by other rules. Who has used up a rate that did not change has still used it up. Errors: a list of proxies that is none; then nothing has changed.
func (e *edging) use(cfg Edge) error {
	trusted, err := edge.ParseTrusted(cfg.Trusted)
	if err != nil {
		return err
	}
	rules := &edgeRules{trusted: trusted, origins: cfg.AllowOrigin, rates: cfg.Rates, concurrency: cfg.ClientConcurrency, uploads: cfg.MaxUploads, requests: cfg.MaxRequests}
	if before := e.rules.Load(); before != nil && reflect.DeepEqual(before.rates, cfg.Rates) {
		rules.limiter = before.limiter
	} else {
		rules.limiter = edge.NewLimiter(cfg.Rates, e.together.Load)
	}
	e.rules.Store(rules)
	return nil
}

// countTogether has requests counted by all replicas of a store, where they share a cache.
func (s *Server) countTogether(root *store) {
	if root.remembered == nil || !root.remembered.Shares() {
		return
	}
	const keep = 5 * time.Second // a count is of one second, by clocks that differ
	s.edge.together.Store(&edge.Together{
		Count:    func(name string, n int64, done func(int64)) { root.remembered.Count("rate "+name, n, keep, done) },
		Replicas: func() int { return int(s.replicas.Load()) },
	})
}

// openEdge reads what the listener needs. Errors: ErrRefused, with all that is wrong.
func (s *Server) openEdge(ctx context.Context) error {
	if err := s.edge.use(s.cfg.Edge); err != nil {
		return fmt.Errorf("%w: http.trustedProxies: %w", ErrRefused, err)
	}
	s.metrics.Refused(metrics.Refusals{
		TooLong: s.edge.tooLong.Load, TooOften: s.edge.tooOften.Load, TooMany: s.edge.tooMany.Load, OverShare: s.edge.overShare.Load, Busy: s.edge.busy.Load,
	})
	s.metrics.Turns(map[string]metrics.Turn{"uploads": s.edge.uploads.Counts, "requests": s.edge.requests.Counts})
	if s.cfg.Edge.TLS.Cert == "" {
		return nil
	}
	var err error
	if s.edge.certs, err = certs.Open(ctx, s.cfg.Edge.TLS, time.Now, s.log); err != nil {
		return fmt.Errorf("%w: http.tls: %w", ErrRefused, err)
	}
	s.metrics.Certificate(s.edge.certs.Expires, s.edge.certs.Counts)
	return nil
}

// probeEdge reads the files of TLS, where there are some, and writes what an operator should look at. Errors: ErrRefused.
func probeEdge(cfg Edge, out io.Writer) error {
	if cfg.TLS.Cert == "" {
		return nil
	}
	warnings, err := certs.Check(cfg.TLS, time.Now())
	if err != nil {
		err = fmt.Errorf("%w: http.tls: %w", ErrRefused, err)
	}
	for _, text := range warnings {
		_, printErr := fmt.Fprintf(out, "http.tls: warning: %s\n", text)
		err = errors.Join(err, printErr)
	}
	return err
}

// turnEdge goes by another Edge, as far as a running server can: the new configuration was read before, so that what is wrong here is with the files that it names, which the log says.
func (s *Server) turnEdge(ctx context.Context, cfg Edge) {
	if err := s.edge.use(cfg); err != nil {
		s.log.ErrorContext(ctx, "the trusted proxies stay as they were", "err", err)
	}
	if s.edge.certs != nil {
		_ = s.edge.certs.Turn(ctx, cfg.TLS) // it is logged, counted and tried again
	}
}

// watchEdge looks at the files of TLS until ctx ends.
func (s *Server) watchEdge(ctx context.Context) {
	if s.edge.certs != nil {
		s.edge.certs.Watch(ctx, certInterval)
	}
}

// protocols says what a server speaks: HTTP/1.1, with TLS HTTP/2 too, without it where the configuration says so.
func (s *Server) protocols(srv *http.Server) {
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(s.edge.certs != nil)
	srv.Protocols.SetUnencryptedHTTP2(s.edge.certs == nil && s.cfg.Edge.H2C)
	srv.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: writeTimeout}
	if s.edge.certs != nil {
		srv.TLSConfig = s.edge.certs.Config()
	}
}

// accept serves connections until srv ends.
func (s *Server) accept(srv *http.Server, listener net.Listener) error {
	if s.cfg.Edge.ProxyProtocol {
		listener = edge.ProxyProtocol(listener, func() edge.Trusted { return s.edge.now().trusted })
	}
	if s.edge.certs == nil {
		return srv.Serve(listener)
	}
	return srv.ServeTLS(listener, "", "")
}

// asSelf is how the server's own listener is asked.
func (s *Server) asSelf() (scheme string, config *tls.Config) {
	if s.edge.certs == nil {
		return "http", nil
	}
	return "https", &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it is our own listener, at an address that no certificate names; nothing secret is sent
}

// Begin implements request.Observer: it puts where a request comes from into its context.
func (e *edging) Begin(ctx context.Context, _ *request.Request, r *http.Request) (context.Context, func(request.Outcome)) {
	return edge.With(ctx, e.now().trusted.Peer(r)), func(request.Outcome) {}
}

// shownClient is the client for the line of a request, where that is not the peer.
func shownClient(ctx context.Context) string {
	if p := edge.From(ctx); p.Proxied {
		return p.Client.String()
	}
	return ""
}

// limited serves with next what no limit forbids. What machines ask all the time is not limited: who watches a replica that is overrun must see it.
func (s *Server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if req := request.From(r.Context()); req != nil && req.Quiet {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // not supported by test recorders only
			next.ServeHTTP(w, r)
			return
		}
		rules, client := s.edge.now(), edge.Client(r.Context())
		preflight := rules.origins.Allow(w.Header(), r)
		switch {
		case len(r.RequestURI) > edge.MaxURL:
			s.edge.tooLong.Add(1)
			// 400, as the API answers parameters of such a length; 414 is its word for too many tags.
			refuse(w, r, http.StatusBadRequest, oci.Errorf(oci.Unsupported, "a URL has at most %d bytes", edge.MaxURL))
			return
		case !rules.limiter.Allow(client, r.Method, r.URL.Path):
			s.edge.tooOften.Add(1)
			refuse(w, r, http.StatusTooManyRequests, oci.Errorf(oci.TooManyRequests, "too many requests in a second: slow down"))
			return
		}
		leave, ok := s.edge.crowd.Enter(client, rules.concurrency)
		if !ok {
			s.edge.tooMany.Add(1)
			refuse(w, r, http.StatusTooManyRequests, oci.Errorf(oci.TooManyRequests, "at most %d requests of one client are served at once", rules.concurrency))
			return
		}
		defer leave()
		if preflight {
			closeAfterBody(w, r)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		finish, ok := s.turn(w, r, rules, client)
		if !ok {
			return
		}
		defer finish()
		next.ServeHTTP(w, r)
	})
}

// refuse answers a request whose body nobody reads.
func refuse(w http.ResponseWriter, r *http.Request, status int, e *oci.Error) {
	closeAfterBody(w, r)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // not supported by test recorders only
	api.WriteError(w, r, status, e)
}
