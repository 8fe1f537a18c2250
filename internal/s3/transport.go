package s3

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

func newDialer() *net.Dialer {
	return &net.Dialer{Timeout: stepTime, KeepAlive: 15 * time.Second}
}

// dialNth connects to the n-th address of a host.
func dialNth(n int) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		ips, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return nil, err
		}
		slices.Sort(ips)
		return newDialer().DialContext(ctx, network, net.JoinHostPort(ips[n%len(ips)], port))
	}
}

func newTransport(cfg Config) *http.Transport {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         newDialer().DialContext,
		TLSHandshakeTimeout: stepTime,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
		WriteBufferSize:     32 << 10,
		ReadBufferSize:      32 << 10,
		// HTTP/1.1 only: bodies in parallel want connections of their own, and its rules for a
		// silent replay of a request are simple (see guard).
		Protocols: new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	if cfg.SkipVerify {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // G402: asked for by skipverify
	}
	return t
}

// guard sits between the SDK and the transport. It makes a silent replay of a write impossible:
// net/http sends a request again when it is a GET or HEAD, or carries an Idempotency-Key; and, having
// written nothing of it yet, when the body is empty or GetBody can make it anew. The last is
// harmless, but nothing is gained by it, so GetBody goes too. It also notes the store's time and name.
// And it hides the WriteTo of bodies: the SDK closes them when the head of an answer is there, and WriteTo
// then fails where Read ends; net/http, looking for the end of what it sent, would close the connection.
type guard struct {
	next   http.RoundTripper
	clock  *clock
	server *atomic.Pointer[string]
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		r.GetBody = nil
		r.Header.Del("Idempotency-Key")
		r.Header.Del("X-Idempotency-Key")
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		g.clock.observe(date)
	}
	if name := resp.Header.Get("Server"); name != "" {
		if last := g.server.Load(); last == nil || *last != name {
			g.server.Store(&name)
		}
	}
	return resp, nil
}

// newHTTPClient follows no redirect: an S3 redirect means a wrong region or endpoint, and must be seen.
func (c *Client) newHTTPClient() *http.Client {
	var rt http.RoundTripper = c.transport
	if c.cfg.Transport != nil {
		rt = c.cfg.Transport(rt)
	}
	return &http.Client{
		Transport:     &guard{next: rt, clock: c.clock, server: c.server},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
