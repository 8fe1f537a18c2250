package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"holdfast/internal/edge"
	"holdfast/internal/edge/certs"
	"holdfast/internal/edge/certs/certstest"
)

// secure is what a server with TLS, and its clients, have.
type secure struct {
	ca, clients *certstest.Authority
	dir         string
	files       certs.Files
	pair        certstest.Pair
}

func newSecure(t *testing.T) *secure {
	t.Helper()
	s := &secure{ca: certstest.New(t, "ca"), clients: certstest.New(t, "clients"), dir: t.TempDir()}
	s.pair = s.ca.Server()
	s.files = certs.Files{
		Cert: certstest.Write(t, s.dir, "cert.pem", s.pair.Cert), Key: certstest.Write(t, s.dir, "key.pem", s.pair.Key),
		CA: certstest.Write(t, s.dir, "ca.pem", s.clients.PEM()),
	}
	return s
}

func (s *secure) config() *tls.Config { return &tls.Config{RootCAs: s.ca.Pool()} }

func (r *running) host() string { return strings.TrimPrefix(r.url, "http://") }

// reply is what came back, without the body.
type reply struct {
	status int
	proto  string
	tls    *tls.ConnectionState
}

// roundTrip makes a request with a client of its own.
func roundTrip(t *testing.T, transport *http.Transport, url string) (reply, error) {
	t.Helper()
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return reply{resp.StatusCode, resp.Proto, resp.TLS}, resp.Body.Close()
}

func TestTLS(t *testing.T) {
	s := newSecure(t)
	r := runServer(t, func(cfg *Config) { cfg.Edge.TLS = s.files })
	url := "https://" + r.host() + "/v2/"
	for name, row := range map[string]struct {
		edit  func(*http.Transport)
		proto string
		tls   uint16
	}{
		"HTTP/2":               {func(h *http.Transport) { h.ForceAttemptHTTP2 = true }, "HTTP/2.0", tls.VersionTLS13},
		"HTTP/1.1":             {func(*http.Transport) {}, "HTTP/1.1", tls.VersionTLS13},
		"TLS 1.2":              {func(h *http.Transport) { h.TLSClientConfig.MaxVersion, h.ForceAttemptHTTP2 = tls.VersionTLS12, true }, "HTTP/2.0", tls.VersionTLS12},
		"a client certificate": {func(h *http.Transport) { h.TLSClientConfig.Certificates = []tls.Certificate{s.clients.Client("a").TLS} }, "HTTP/1.1", tls.VersionTLS13},
	} {
		transport := &http.Transport{TLSClientConfig: s.config()}
		row.edit(transport)
		resp, err := roundTrip(t, transport, url)
		if err != nil || resp.status != http.StatusOK || resp.proto != row.proto || resp.tls.Version != row.tls {
			t.Errorf("%s: %v, %+v", name, err, resp)
		}
	}
	if resp, err := roundTrip(t, &http.Transport{}, "http://"+r.host()+"/v2/"); err != nil || resp.status != http.StatusBadRequest {
		t.Errorf("without TLS: %v, %v", resp, err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// A70, B65: what is too weak, or of an authority that is not ours, ends with the handshake.
func TestTLSRefuses(t *testing.T) {
	s := newSecure(t)
	r := runServer(t, func(cfg *Config) { cfg.Edge.TLS = s.files })
	stale := s.clients.Issue(x509.Certificate{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	only := func(suites ...uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, suites }
	}
	for name, edit := range map[string]func(*tls.Config){
		"TLS 1.0":                  func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 },
		"TLS 1.1":                  func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 },
		"RC4":                      only(tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA),
		"3DES":                     only(tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA),
		"CBC":                      only(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256),
		"RSA key exchange":         only(tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA),
		"another authority's":      func(c *tls.Config) { c.Certificates = []tls.Certificate{s.ca.Client("mallory").TLS} },
		"another of the same name": func(c *tls.Config) { forged(c, certstest.New(t, "clients").Client("mallory").TLS) },
		"expired":                  func(c *tls.Config) { forged(c, stale.TLS) },
	} {
		config := s.config()
		edit(config)
		if config.Certificates != nil {
			forged(config, config.Certificates[0])
		}
		if resp, err := roundTrip(t, &http.Transport{TLSClientConfig: config}, "https://"+r.host()+"/v2/"); err == nil {
			t.Errorf("%s: %d over %x", name, resp.status, resp.tls.CipherSuite)
		} else if text := err.Error(); !strings.Contains(text, "remote error: tls") && !strings.Contains(text, "protocol version") {
			t.Errorf("%s: it is not the handshake that fails: %v", name, err)
		}
	}
	if resp, err := roundTrip(t, &http.Transport{TLSClientConfig: s.config()}, "https://"+r.host()+"/v2/"); err != nil || resp.status != http.StatusOK {
		t.Errorf("and then one without a certificate: %v", err)
	}
}

// forged shows a certificate whatever authorities the server names.
func forged(c *tls.Config, cert tls.Certificate) {
	c.Certificates = nil
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
}

// B76: another certificate is shown to new connections, and those that are open go on; one that is not good changes nothing.
func TestCertificateIsReplaced(t *testing.T) {
	s := newSecure(t)
	changed := make(chan string)
	var next Config
	r := runServer(t, func(cfg *Config) {
		cfg.Edge.TLS, cfg.MetricsPath = s.files, "/metrics"
		next = *cfg
		cfg.Host.Source = Source{Changed: changed, Load: func(context.Context) (Config, error) { return next, nil }}
	})
	url := "https://" + r.host()
	shown := func() []byte {
		t.Helper()
		conn, err := tls.Dial("tcp", r.host(), s.config())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].Raw
	}
	settled := func(message string, n int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); len(r.log.having(message)) < n; time.Sleep(5 * time.Millisecond) { // a real server, over sockets
			if time.Now().After(deadline) {
				t.Fatalf("the log does not say %q", message)
			}
		}
	}
	// An upload that is under way, and an idle connection.
	transport := &http.Transport{TLSClientConfig: s.config(), ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport}
	from, to := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		resp, err := client.Post(url+"/v2/a/blobs/uploads/?digest=sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "application/octet-stream", from)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusCreated {
				err = errors.New(resp.Status)
			}
		}
		answered <- err
	}()
	if _, err := io.WriteString(to, "f"); err != nil {
		t.Fatal(err)
	}

	other := s.ca.Server()
	certstest.Write(t, s.dir, "cert.pem", other.Cert)
	certstest.Write(t, s.dir, "key.pem", other.Key)
	changed <- "test"
	settled("the configuration was read again", 1)
	if !slices.Equal(shown(), other.Leaf.Raw) {
		t.Error("a new connection is shown the certificate of before")
	}
	certstest.Write(t, s.dir, "key.pem", s.pair.Key)
	changed <- "test"
	settled("the configuration was read again", 2)
	if !slices.Equal(shown(), other.Leaf.Raw) || len(r.log.having(`"level":"ERROR"`, "new files of TLS are refused", "is not the certificate of the key")) != 1 {
		t.Error("a pair that does not belong together is shown, or nobody is told")
	}
	if _, err := io.WriteString(to, "oo"); err != nil {
		t.Fatal(err)
	}
	_ = to.Close()
	if err := <-answered; err != nil {
		t.Errorf("the upload that was under way: %v", err)
	}
	resp, err := client.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	for _, want := range []string{
		`holdfast_tls_reloads_total{outcome="applied"} 1`, `holdfast_tls_reloads_total{outcome="refused"} 1`, "holdfast_tls_last_reload_successful 0",
		"holdfast_tls_certificate_expiry_timestamp_seconds " + fmt.Sprintf("%g", float64(other.Leaf.NotAfter.Unix())),
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the metrics do not say %s", want)
		}
	}
	// Files at other paths are taken as well, without a restart.
	next.Edge.TLS.Cert, next.Edge.TLS.Key = certstest.Write(t, s.dir, "cert2.pem", s.pair.Cert), certstest.Write(t, s.dir, "key2.pem", s.pair.Key)
	changed <- "test"
	settled("the configuration was read again", 3)
	if !slices.Equal(shown(), s.pair.Leaf.Raw) || len(r.log.having("needs a restart")) != 0 {
		t.Error("files at other paths are not taken")
	}
	// TLS itself is another matter.
	next.Edge.TLS = certs.Files{}
	changed <- "test"
	settled("needs a restart", 1)
	if len(r.log.having("needs a restart", "http.tls")) != 1 || !slices.Equal(shown(), s.pair.Leaf.Raw) {
		t.Error("TLS was switched off under way")
	}
	transport.CloseIdleConnections()
}

// B75: files that are not good are refused before anything else is done.
func TestBadCertificateIsRefused(t *testing.T) {
	s := newSecure(t)
	cfg := Config{Storage: Storage{Dir: filepath.Join(t.TempDir(), "none")}, Address: "127.0.0.1:0", Edge: Edge{TLS: s.files}}
	certstest.Write(t, s.dir, "key.pem", s.ca.Server().Key)
	err := Run(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "http.tls") || !strings.Contains(err.Error(), s.files.Cert) {
		t.Errorf("%v", err)
	}
}

// The server asks itself by TLS, whatever its certificate names.
func TestAliveByTLS(t *testing.T) {
	ca := certstest.New(t, "ca")
	pair := ca.Issue(x509.Certificate{DNSNames: []string{"registry.example.com"}})
	dir := t.TempDir()
	s := &Server{health: newHealth(), log: slog.New(slog.DiscardHandler)}
	var err error
	s.edge.certs, err = certs.Open(t.Context(), certs.Files{Cert: certstest.Write(t, dir, "c", pair.Cert), Key: certstest.Write(t, dir, "k", pair.Key)}, time.Now, s.log)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.health.register(mux)
	srv := &http.Server{Handler: mux}
	s.protocols(srv)
	go func() { _ = s.accept(srv, listener) }()
	defer func() { _ = srv.Close() }()
	if err := s.alive(t.Context(), listener.Addr()); err != nil {
		t.Error(err)
	}
}

func TestH2C(t *testing.T) {
	h2c := func() *http.Transport {
		h := &http.Transport{Protocols: new(http.Protocols)}
		h.Protocols.SetUnencryptedHTTP2(true)
		return h
	}
	on := runServer(t, func(cfg *Config) { cfg.Edge.H2C = true })
	if resp, err := roundTrip(t, h2c(), on.url+"/v2/"); err != nil || resp.proto != "HTTP/2.0" || resp.status != http.StatusOK {
		t.Errorf("%v, %v", resp, err)
	}
	if resp, err := roundTrip(t, &http.Transport{}, on.url+"/v2/"); err != nil || resp.proto != "HTTP/1.1" || resp.status != http.StatusOK {
		t.Errorf("HTTP/1.1 beside it: %v, %v", resp, err)
	}
	off := runServer(t, func(*Config) {})
	if resp, err := roundTrip(t, h2c(), off.url+"/v2/"); err == nil {
		t.Errorf("it is off, and answers %d by %s", resp.status, resp.proto)
	}
}

// A43: the log shows the client that a trusted proxy names, and nobody else's word for one.
func TestClientIsShown(t *testing.T) {
	for name, row := range map[string]struct {
		trusted []string
		want    []string
	}{
		"trusted":   {[]string{"127.0.0.0/8"}, []string{`"client":"198.51.100.9"`, `"proxy":"127.0.0.1:`}},
		"untrusted": {nil, []string{`"client":"127.0.0.1:`}},
	} {
		r := runServer(t, func(cfg *Config) { cfg.Edge.Trusted = row.trusted })
		fetch(t, "GET", r.url+"/v2/", http.Header{"X-Forwarded-For": {"1.2.3.4, 198.51.100.9"}, "X-Real-Ip": {"6.6.6.6"}, "Forwarded": {"for=7.7.7.7"}})
		if got := r.log.having(append(row.want, `"msg":"request"`)...); len(got) != 1 {
			t.Errorf("%s: %v", name, r.log.having(`"msg":"request"`))
		}
		if len(r.log.having("1.2.3.4"))+len(r.log.having("6.6.6.6"))+len(r.log.having("7.7.7.7")) > 0 {
			t.Errorf("%s: the client's own word is in the log", name)
		}
	}
	r := runServer(t, func(cfg *Config) { cfg.Edge.Trusted, cfg.Edge.ProxyProtocol = []string{"127.0.0.1"}, true })
	conn := r.dial(t)
	if _, err := io.WriteString(conn, "PROXY TCP4 198.51.100.9 10.0.0.1 4660 80\r\nGET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn)
	if len(r.log.having(`"client":"198.51.100.9:4660"`)) != 1 {
		t.Errorf("by the PROXY protocol: %v", r.log.having(`"msg":"request"`))
	}
}

func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", r.host())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

func TestLimits(t *testing.T) {
	changed := make(chan string)
	var next Config
	r := runServer(t, func(cfg *Config) {
		cfg.Edge.Rates, cfg.MetricsPath, cfg.Edge.Trusted = edge.Rates{All: 1}, "/metrics", []string{"127.0.0.1"}
		next = *cfg
		cfg.Host.Source = Source{Changed: changed, Load: func(context.Context) (Config, error) { return next, nil }}
	})
	from := func(client string) http.Header { return http.Header{"X-Forwarded-For": {client}} }
	served, refused := 0, 0
	for range 1000 { // until one comes within a second of another, however busy the machine is
		if served > 0 && refused > 0 {
			break
		}
		status, body, header := fetch(t, "GET", r.url+"/v2/", from("192.0.2.1"))
		switch {
		case status == http.StatusOK:
			served++
		case status == http.StatusTooManyRequests && header.Get("Retry-After") != "" && strings.Contains(body, `"TOOMANYREQUESTS"`):
			refused++
		default:
			t.Errorf("%d %s, Retry-After %q", status, body, header.Get("Retry-After"))
		}
	}
	if served == 0 || refused == 0 {
		t.Errorf("%d are served, %d refused", served, refused)
	}
	if status, _, _ := fetch(t, "GET", r.url+"/v2/", from("192.0.2.2")); status != http.StatusOK {
		t.Errorf("another client is answered %d", status)
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		for range 10 {
			if status, _, _ := fetch(t, "GET", r.url+path, from("192.0.2.1")); status != http.StatusOK {
				t.Errorf("%s is limited: %d", path, status)
			}
		}
	}
	if _, body, _ := fetch(t, "GET", r.url+"/metrics", nil); !strings.Contains(body, `holdfast_http_limited_total{limit="rate"} `) || strings.Contains(body, `holdfast_http_limited_total{limit="rate"} 0`) {
		t.Error("the metrics do not tell of it")
	}

	// Limits are changed without a restart.
	next.Edge.Rates, next.Edge.ClientConcurrency = edge.Rates{}, 2
	changed <- "test"
	for deadline := time.Now().Add(20 * time.Second); len(r.log.having("the configuration was read again")) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the configuration is not read again")
		}
	}
	first, answer := slowUpload(t, r.url)
	second, answer2 := slowUpload(t, r.url)
	for len(r.log.having("needs a restart")) == 0 { // both have begun when a third is refused
		status, body, _ := fetch(t, "GET", r.url+"/v2/", nil)
		if status == http.StatusTooManyRequests {
			if !strings.Contains(body, "at most 2 requests") {
				t.Error(body)
			}
			break
		}
	}
	if status, _, _ := fetch(t, "GET", r.url+"/v2/", from("192.0.2.2")); status != http.StatusOK {
		t.Errorf("another client is answered %d", status)
	}
	if status, _, _ := fetch(t, "GET", r.url+"/readyz", nil); status != http.StatusOK {
		t.Errorf("/readyz is answered %d", status)
	}
	_, _ = first.Close(), second.Close()
	if one, two := <-answer, <-answer2; one != http.StatusAccepted || two != http.StatusAccepted {
		t.Errorf("the uploads are answered %d and %d", one, two)
	}
	if status, _, _ := fetch(t, "GET", r.url+"/v2/", nil); status != http.StatusOK {
		t.Errorf("after them %d", status)
	}
}

func TestLongURL(t *testing.T) {
	r := runServer(t, func(*Config) {})
	for length, want := range map[int]int{edge.MaxURL: http.StatusOK, edge.MaxURL + 1: http.StatusBadRequest} {
		if status, body, _ := fetch(t, "GET", r.url+"/v2/?"+strings.Repeat("a", length-len("/v2/?")), nil); status != want || status != http.StatusOK && !strings.Contains(body, "UNSUPPORTED") {
			t.Errorf("%d bytes: %d %s", length, status, body)
		}
	}
	if status, _, _ := fetch(t, "GET", r.url+"/v2/?"+strings.Repeat("a", 200<<10), nil); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("200 KiB: %d", status)
	}
}

// A53: preflights of configured origins are answered before anything else is asked of them; others get no header.
func TestCORS(t *testing.T) {
	r := runServer(t, func(cfg *Config) { cfg.Edge.AllowOrigin = edge.Origins{"https://ui.example.com"} })
	for origin, want := range map[string]string{"https://ui.example.com": "https://ui.example.com", "https://evil.example": ""} {
		status, _, header := fetch(t, "OPTIONS", r.url+"/v2/a/manifests/b", http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"PUT"}})
		if header.Get("Access-Control-Allow-Origin") != want || (status == http.StatusNoContent) != (want != "") {
			t.Errorf("preflight of %s: %d %v", origin, status, header)
		}
		_, _, header = fetch(t, "GET", r.url+"/v2/", http.Header{"Origin": {origin}})
		if header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%s: %v", origin, header)
		}
	}
}

// A57: two thousand clients that send a byte of a header now and then are cut, and honest ones do not notice.
func TestSlowClients(t *testing.T) {
	const clients, most = 2000, 30 * time.Second // it cuts after 5 s; the machine is busy with two thousand clients
	r := runServer(t, func(*Config) {})
	var cut atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			conn, err := net.Dial("tcp", r.host())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(most))
			if _, err := io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nX-Slow: "); err != nil {
				return
			}
			end := make(chan error, 1)
			go func() { _, err := io.Copy(io.Discard, conn); end <- err }()
			for tick := time.Tick(2 * time.Second); ; {
				select {
				case err := <-end:
					var slow net.Error
					if errors.As(err, &slow) && slow.Timeout() {
						return
					}
					cut.Add(1)
					return
				case <-tick:
					_, _ = io.WriteString(conn, "a")
				}
			}
		})
	}
	var worst time.Duration
	for began := time.Now(); time.Since(began) < 4*time.Second; {
		one := time.Now()
		if status, _, _ := fetch(t, "GET", r.url+"/v2/", nil); status != http.StatusOK {
			t.Errorf("an honest client is answered %d", status)
		}
		worst = max(worst, time.Since(one))
	}
	all.Wait()
	if cut.Load() != clients {
		t.Errorf("%d of %d are cut within %v", cut.Load(), clients, most)
	}
	if worst > 10*time.Second {
		t.Errorf("an honest client waited %v", worst)
	}
}

// A57: who connects and says nothing is cut as well, whatever it was to say first.
func TestSilentClients(t *testing.T) {
	s := newSecure(t)
	for name, edit := range map[string]func(*Config){
		"HTTP":               func(*Config) {},
		"h2c":                func(cfg *Config) { cfg.Edge.H2C = true },
		"TLS":                func(cfg *Config) { cfg.Edge.TLS = s.files },
		"the PROXY protocol": func(cfg *Config) { cfg.Edge.Trusted, cfg.Edge.ProxyProtocol = []string{"127.0.0.1"}, true },
		"TLS in the PROXY protocol": func(cfg *Config) {
			cfg.Edge.TLS, cfg.Edge.Trusted, cfg.Edge.ProxyProtocol = s.files, []string{"127.0.0.1"}, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := runServer(t, edit).dial(t)
			began := time.Now()
			_, err := io.Copy(io.Discard, conn)
			var slow net.Error
			if took := time.Since(began); took > 30*time.Second || errors.As(err, &slow) && slow.Timeout() {
				t.Errorf("it is open after %v", took)
			} else if took < 4*time.Second {
				t.Errorf("it was cut after %v", took)
			}
		})
	}
}

// A71: streams that are begun and reset at once, and headers without an end, cost a connection, not the process.
func TestRapidReset(t *testing.T) {
	r := runServer(t, func(cfg *Config) { cfg.Edge.H2C = true })
	connect := func() (*http2.Framer, net.Conn) {
		conn := r.dial(t)
		if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
			t.Fatal(err)
		}
		f := http2.NewFramer(conn, bufio.NewReader(conn))
		if err := f.WriteSettings(); err != nil {
			t.Fatal(err)
		}
		return f, conn
	}
	var block strings.Builder
	enc := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/v2/a/tags/list"}} {
		if err := enc.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	ended := func(f *http2.Framer) (code http2.ErrCode) {
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return code
			}
			if away, ok := frame.(*http2.GoAwayFrame); ok && away.ErrCode != http2.ErrCodeNo {
				code = away.ErrCode
			}
		}
	}
	t.Run("reset", func(t *testing.T) {
		f, conn := connect()
		var reading sync.WaitGroup
		reading.Go(func() { ended(f) })
		began := time.Now()
		for i := range 100_000 {
			id := uint32(2*i + 1)
			err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte(block.String()), EndStream: true, EndHeaders: true})
			if err == nil {
				err = f.WriteRSTStream(id, http2.ErrCodeCancel)
			}
			if err != nil {
				t.Logf("the connection ends after %d streams, %v", i, time.Since(began))
				break
			}
			if i%10_000 == 0 {
				if status, _, _ := fetch(t, "GET", r.url+"/v2/", nil); status != http.StatusOK {
					t.Errorf("meanwhile an honest client is answered %d", status)
				}
			}
		}
		_ = conn.Close()
		reading.Wait()
	})
	t.Run("continuation", func(t *testing.T) {
		f, _ := connect()
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String())}); err != nil {
			t.Fatal(err)
		}
		var writing sync.WaitGroup
		writing.Go(func() {
			var more strings.Builder
			e := hpack.NewEncoder(&more)
			_ = e.WriteField(hpack.HeaderField{Name: "x-more", Value: strings.Repeat("a", 4000)})
			for range 100_000 {
				if f.WriteContinuation(1, false, []byte(more.String())) != nil {
					return
				}
			}
			t.Error("400 MB of headers are taken")
		})
		ended(f)
		writing.Wait()
	})
	if status, _, _ := fetch(t, "GET", r.url+"/v2/", nil); status != http.StatusOK {
		t.Errorf("after it all an honest client is answered %d", status)
	}
}

// What of the Edge is changed under way, and what needs a restart, and says so.
func TestEdgeReload(t *testing.T) {
	started := Config{Edge: Edge{TLS: certs.Files{Cert: "c", Key: "k"}}}
	for _, row := range []struct {
		name  string
		next  Edge
		taken bool
		need  string
	}{
		{"other files", Edge{TLS: certs.Files{Cert: "d", Key: "l", CA: "a"}}, true, ""},
		{"no TLS", Edge{}, false, "http.tls (on or off)"},
		{"h2c", Edge{TLS: started.Edge.TLS, H2C: true}, false, "http.h2c"},
		{"the PROXY protocol", Edge{TLS: started.Edge.TLS, ProxyProtocol: true}, false, "http.proxyProtocol"},
		{"the rest", Edge{TLS: started.Edge.TLS, Trusted: []string{"10.0.0.1"}, ExternalURL: "https://a", AllowOrigin: edge.Origins{"*"}, Rates: edge.Rates{All: 1}, ClientConcurrency: 1, MaxUploads: 1, MaxRequests: 1, MinBodyRate: 1}, true, ""},
	} {
		next := started
		next.Edge = row.next
		used := merged(started, next)
		keys := needRestart(used, next)
		if (len(keys) == 0) != row.taken || strings.Join(keys, ", ") != row.need {
			t.Errorf("%s: %v", row.name, keys)
		}
	}
	if used := merged(Config{}, started); used.Edge.TLS.Cert != "" || len(needRestart(used, started)) != 1 {
		t.Errorf("TLS is switched on under way: %+v", used.Edge)
	}
}
