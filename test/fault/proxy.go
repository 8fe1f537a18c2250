package fault

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Proxy stands between S3 clients and one S3 server. Safe for concurrent use.
type Proxy struct {
	URL string // where clients find it

	target *url.URL
	store  *http.Transport
	server *http.Server
	closed context.Context // ends with Close: what hangs hangs until then
	end    context.CancelFunc
	served chan struct{}

	mu     sync.Mutex
	random *rand.Rand
	rules  []*active
	counts map[string]int
}

// New starts a proxy on a free loopback port in front of the server at target, a
// base URL. seed decides the chances of its rules. Close ends it.
func New(ctx context.Context, target string, seed uint64) (*Proxy, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("fault: target: %w", err)
	}
	if to.Host == "" {
		return nil, fmt.Errorf("fault: target %q: want http://host:port", target)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fault: listen: %w", err)
	}
	p := &Proxy{
		URL:    "http://" + l.Addr().String(),
		target: to,
		// Nothing is added to a request: not even Accept-Encoding.
		store:  &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true, IdleConnTimeout: 30 * time.Second},
		served: make(chan struct{}),
		random: rand.New(rand.NewPCG(seed, 0)),
		counts: make(map[string]int),
	}
	p.closed, p.end = context.WithCancel(context.WithoutCancel(ctx))
	p.server = &http.Server{
		Handler:           http.HandlerFunc(p.serve),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	go func() {
		defer close(p.served)
		_ = p.server.Serve(l) // ends with Close
	}()
	return p, nil
}

// Set puts rules into force in place of those before. None lets everything pass.
func (p *Proxy) Set(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
	for _, r := range rules {
		p.rules = append(p.rules, &active{Rule: r})
	}
}

// Counts returns how often each fault was done, by its name, and under "calls"
// how many requests there were.
func (p *Proxy) Counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Close breaks all connections and ends the proxy. Safe twice.
func (p *Proxy) Close() error {
	p.end()
	err := p.server.Close()
	<-p.served
	p.store.CloseIdleConnections()
	return err
}

// choose returns what is to happen to a call.
func (p *Proxy) choose(c Call) (do func(*exchange), dice uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts["calls"]++
	for _, a := range p.rules {
		if a.takes(c, p.random) {
			p.counts[a.Fault.Name]++
			return a.Fault.do, p.random.Uint64()
		}
	}
	return (*exchange).pass, 0
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	do, dice := p.choose(callOf(r))
	x := &exchange{proxy: p, w: w, r: r, random: rand.New(rand.NewPCG(dice, 1))}
	do(x)
}

// exchange is one request and its answer.
type exchange struct {
	proxy  *Proxy
	w      http.ResponseWriter
	r      *http.Request
	random *rand.Rand
}

// forward sends the request on and returns the store's answer, whose body the
// caller closes. When the store cannot be reached the client's connection breaks,
// and forward returns nil.
func (x *exchange) forward() *http.Response {
	out := x.r.Clone(x.r.Context())
	out.URL.Scheme, out.URL.Host = x.proxy.target.Scheme, x.proxy.target.Host
	out.RequestURI, out.Close = "", false
	if out.ContentLength == 0 {
		out.Body = http.NoBody
	}
	if out.Header.Get("User-Agent") == "" {
		out.Header["User-Agent"] = nil // else the transport adds one
	}
	resp, err := x.proxy.store.RoundTrip(out)
	if err != nil {
		x.reset()
		return nil
	}
	return resp
}

// header writes the head of an answer.
func (x *exchange) header(resp *http.Response) {
	h := x.w.Header()
	maps.Copy(h, resp.Header)
	h.Del("Connection")
	x.w.WriteHeader(resp.StatusCode)
	if f, ok := x.w.(http.Flusher); ok {
		f.Flush() // so that a body that breaks is seen as one, and not as no answer
	}
}

// body copies the rest of an answer, and breaks off where the store does.
func (x *exchange) body(resp *http.Response, rest io.Reader) {
	if _, err := io.Copy(x.w, rest); err != nil {
		x.reset()
	}
	_ = resp.Body.Close() // it was read to its end
}

// swallow reads the request's body, without which a server does not notice that
// its client has gone.
func (x *exchange) swallow() { _, _ = io.Copy(io.Discard, x.r.Body) }

// reset breaks the client's connection with a RST, whatever was written before.
func (x *exchange) reset() { x.breakOff(true) }

func (x *exchange) breakOff(reset bool) {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // hijacked or ended already
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
