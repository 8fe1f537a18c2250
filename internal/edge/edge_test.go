package edge_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/edge"
)

func trusted(t *testing.T, list ...string) edge.Trusted {
	t.Helper()
	all, err := edge.ParseTrusted(list)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A43: what headers say of the client counts only when a trusted proxy sends them, and then only its own part.
func TestPeer(t *testing.T) {
	proxies := []string{"10.0.0.0/8", "192.0.2.7", "fd00::/8"}
	for _, row := range []struct {
		name, from string
		headers    []string
		client     string
		secure     bool
		forwarded  string
	}{
		{"nothing said", "198.51.100.1:5", nil, "198.51.100.1", false, ""},
		{"an untrusted peer", "198.51.100.1:5", []string{"X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "Forwarded: for=1.2.3.4;proto=https"}, "198.51.100.1", false, ""},
		{"other headers", "10.1.1.1:5", []string{"X-Real-IP: 1.2.3.4", "X-Forwarded-User: admin", "X-Webauth-User: admin", "X-Forwarded-Host: evil", "True-Client-Ip: 1.2.3.4"}, "10.1.1.1", false, ""},
		{"one proxy", "10.1.1.1:5", []string{"X-Forwarded-For: 198.51.100.9", "X-Forwarded-Proto: https"}, "198.51.100.9", true, "198.51.100.9"},
		{"a proxy without TLS", "10.1.1.1:5", []string{"X-Forwarded-For: 198.51.100.9", "X-Forwarded-Proto: http"}, "198.51.100.9", false, "198.51.100.9"},
		{"what the client wrote before", "10.1.1.1:5", []string{"X-Forwarded-For: 1.2.3.4, 198.51.100.9"}, "198.51.100.9", false, "1.2.3.4, 198.51.100.9"},
		{"the same in two lines", "10.1.1.1:5", []string{"X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 198.51.100.9"}, "198.51.100.9", false, "1.2.3.4, 198.51.100.9"},
		{"the client claims to be a proxy", "10.1.1.1:5", []string{"X-Forwarded-For: 1.2.3.4, 10.9.9.9, 198.51.100.9"}, "198.51.100.9", false, "1.2.3.4, 10.9.9.9, 198.51.100.9"},
		{"two proxies", "10.1.1.1:5", []string{"X-Forwarded-For: 198.51.100.9, 192.0.2.7"}, "198.51.100.9", false, "198.51.100.9, 192.0.2.7"},
		{"proxies only", "10.1.1.1:5", []string{"X-Forwarded-For: 10.3.3.3, 10.2.2.2"}, "10.3.3.3", false, "10.3.3.3, 10.2.2.2"},
		{"nonsense", "10.1.1.1:5", []string{"X-Forwarded-For: 1.2.3.4, nonsense"}, "10.1.1.1", false, "1.2.3.4, nonsense"},
		{"empty", "10.1.1.1:5", []string{"X-Forwarded-For: "}, "10.1.1.1", false, ""},
		{"with ports", "10.1.1.1:5", []string{"X-Forwarded-For: [2001:db8::1]:80, 10.2.2.2:443"}, "2001:db8::1", false, "[2001:db8::1]:80, 10.2.2.2:443"},
		{"mapped", "[::ffff:10.1.1.1]:5", []string{"X-Forwarded-For: ::ffff:198.51.100.9"}, "198.51.100.9", false, "::ffff:198.51.100.9"},
		{"IPv6", "[fd00::1%eth0]:5", []string{"X-Forwarded-For: 2001:db8::1"}, "2001:db8::1", false, "2001:db8::1"},
		{"Forwarded", "10.1.1.1:5", []string{`Forwarded: for=1.2.3.4, for="[2001:db8::1]:80";proto=http;by=x, For=10.2.2.2;Proto=HTTPS`}, "2001:db8::1", true, ""},
		{"Forwarded, hidden", "10.1.1.1:5", []string{`Forwarded: for=1.2.3.4, for=_secret`}, "10.1.1.1", false, ""},
		{"Forwarded by the client", "10.1.1.1:5", []string{"Forwarded: for=1.2.3.4", "X-Forwarded-For: 198.51.100.9"}, "198.51.100.9", false, "198.51.100.9"},
		{"the last proto", "10.1.1.1:5", []string{"X-Forwarded-Proto: https, http"}, "10.1.1.1", false, ""},
		{"a unix socket", "@", []string{"X-Forwarded-For: 1.2.3.4"}, "invalid IP", false, ""},
		{"too many", "10.1.1.1:5", []string{"X-Forwarded-For: 1.2.3.4" + strings.Repeat(", 10.0.0.2", 100)}, "10.0.0.2", false, "1.2.3.4" + strings.Repeat(", 10.0.0.2", 100)},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/v2/", http.NoBody)
		r.RemoteAddr = row.from
		for _, h := range row.headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
		p := trusted(t, proxies...).Peer(r)
		if p.Client.String() != row.client || p.Secure != row.secure || p.ForwardedFor != row.forwarded {
			t.Errorf("%s: %+v", row.name, p)
		}
		if vouched := trusted(t, proxies...).Contains(edge.Trusted{}.Peer(r).Client); (p.Headers != nil) != vouched {
			t.Errorf("%s: the headers are vouched for: %t", row.name, !vouched)
		}
		ctx := edge.With(t.Context(), p)
		if edge.Client(ctx) != p.Client || edge.Secure(ctx) != p.Secure || !reflect.DeepEqual(edge.From(ctx), p) {
			t.Errorf("%s: the context says something else", row.name)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/v2/", http.NoBody)
	r.TLS = &tls.ConnectionState{}
	if !(edge.Trusted{}).Peer(r).Secure {
		t.Error("TLS is not secure")
	}
	if edge.Client(t.Context()).IsValid() {
		t.Error("there is a client without a request")
	}
}

func TestParseTrusted(t *testing.T) {
	_, err := edge.ParseTrusted([]string{"10.0.0.0/8", "host", "10.0.0.1/33", "fe80::1%eth0", "::ffff:10.0.0.0/100"})
	if err == nil || strings.Count(err.Error(), "neither") != 4 {
		t.Errorf("%v", err)
	}
	if !trusted(t, "::ffff:10.0.0.1").Contains(netip.MustParseAddr("10.0.0.1")) {
		t.Error("an address is not what it was written as")
	}
}

// FuzzPeer: whatever the headers say, the client is an address that was there, and only a trusted peer is believed.
func FuzzPeer(f *testing.F) {
	f.Add("10.0.0.1:1", "1.2.3.4, 10.0.0.2", `for="[::1]:80";proto=https`, "https")
	f.Add("1.2.3.4:1", ",,", ";=,;", "")
	proxies, err := edge.ParseTrusted([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, remote, xff, forwarded, proto string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {xff}, "Forwarded": {forwarded}, "X-Forwarded-Proto": {proto}}}
		p := proxies.Peer(r)
		direct := edge.Trusted{}.Peer(r)
		if !proxies.Contains(direct.Client) && !reflect.DeepEqual(p, direct) {
			t.Errorf("%q is believed: %+v", remote, p)
		}
		if p.Client.IsValid() && p.Client.Zone() != "" {
			t.Errorf("%v has a zone", p.Client)
		}
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := edge.NewLimiter(edge.Rates{All: 3, Methods: map[string]int{"PUT": 1}}, nil)
		one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		served := func(n int, client netip.Addr, method, path string) (ok int) {
			for range n {
				if l.Allow(client, method, path) {
					ok++
				}
			}
			return ok
		}
		for _, row := range []struct {
			client netip.Addr
			method string
			path   string
			want   int
		}{{one, "GET", "/a", 3}, {other, "GET", "/a", 3}, {one, "GET", "/b", 3}, {one, "GET", "/a", 0}, {one, "PUT", "/c", 1}} {
			if got := served(5, row.client, row.method, row.path); got != row.want {
				t.Errorf("%v %s %s: %d of 5 are served, want %d", row.client, row.method, row.path, got, row.want)
			}
		}
		time.Sleep(time.Second)
		if got := served(5, one, "GET", "/a"); got != 3 {
			t.Errorf("a second later %d are served", got)
		}
		if l = edge.NewLimiter(edge.Rates{}, nil); served(1000, one, "GET", "/") != 1000 {
			t.Error("no limit is one")
		}
		l = edge.NewLimiter(edge.Rates{All: 1}, nil)
		if !l.Allow(netip.MustParseAddr("2001:db8::1"), "GET", "/") || l.Allow(netip.MustParseAddr("2001:db8::2"), "GET", "/") || !l.Allow(netip.MustParseAddr("2001:db8:0:1::1"), "GET", "/") {
			t.Error("a client is not a /64")
		}
		if !l.Allow(netip.Addr{}, "GET", "/") {
			t.Error("nobody's address cannot be limited")
		}
	})
}

func TestCrowd(t *testing.T) {
	var c edge.Crowd
	one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	leave, ok := c.Enter(one, 2)
	if !ok {
		t.Fatal("the first is not served")
	}
	if _, ok = c.Enter(one, 2); !ok {
		t.Error("the second is not served")
	}
	if _, ok = c.Enter(one, 2); ok {
		t.Error("a third is served")
	}
	if _, ok = c.Enter(other, 2); !ok {
		t.Error("another client waits for the first")
	}
	leave()
	if _, ok = c.Enter(one, 2); !ok {
		t.Error("one has ended, and none may begin")
	}
	if leave, ok = c.Enter(one, 0); !ok {
		t.Error("no limit is one")
	}
	leave()
}

// A53: no page of another origin may ask, unless it is configured, and all of them never with credentials.
func TestOrigins(t *testing.T) {
	for _, row := range []struct {
		name      string
		origins   edge.Origins
		method    string
		headers   []string
		preflight bool
		origin    string
		creds     string
	}{
		{"not configured", nil, "GET", []string{"Origin: https://evil"}, false, "", ""},
		{"not configured, preflight", nil, "OPTIONS", []string{"Origin: https://evil", "Access-Control-Request-Method: PUT"}, false, "", ""},
		{"another origin", edge.Origins{"https://ui"}, "GET", []string{"Origin: https://evil"}, false, "", ""},
		{"another origin, preflight", edge.Origins{"https://ui"}, "OPTIONS", []string{"Origin: https://evil", "Access-Control-Request-Method: PUT"}, false, "", ""},
		{"one that begins alike", edge.Origins{"https://ui"}, "GET", []string{"Origin: https://ui.evil"}, false, "", ""},
		{"null", edge.Origins{"https://ui"}, "GET", []string{"Origin: null"}, false, "", ""},
		{"the origin", edge.Origins{"https://other", "https://ui"}, "GET", []string{"Origin: https://ui"}, false, "https://ui", "true"},
		{"preflight", edge.Origins{"https://ui"}, "OPTIONS", []string{"Origin: https://ui", "Access-Control-Request-Method: PUT"}, true, "https://ui", "true"},
		{"no preflight", edge.Origins{"https://ui"}, "OPTIONS", []string{"Origin: https://ui"}, false, "https://ui", "true"},
		{"all", edge.Origins{"*"}, "GET", []string{"Origin: https://any"}, false, "*", ""},
		{"all and one", edge.Origins{"*", "https://ui"}, "GET", []string{"Origin: https://any"}, false, "*", ""},
		{"no page", edge.Origins{"*"}, "GET", nil, false, "", ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), row.method, "/v2/", http.NoBody)
		for _, h := range row.headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
		h := http.Header{}
		if got := row.origins.Allow(h, r); got != row.preflight || h.Get("Access-Control-Allow-Origin") != row.origin || h.Get("Access-Control-Allow-Credentials") != row.creds {
			t.Errorf("%s: %v, %v", row.name, got, h)
		}
		if (len(row.origins) > 0) != slices.Contains(h["Vary"], "Origin") {
			t.Errorf("%s: Vary is %q: a cache would give one page the answer of another", row.name, h["Vary"])
		}
		if row.preflight != (h.Get("Access-Control-Allow-Methods") != "") || row.preflight && !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("%s: %v", row.name, h)
		}
	}
}

// An answer before the request's end reaches a client that still sends: net/http closes one direction after it, where it can.
func TestProxyProtocolHalfClosed(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inner.Close() }()
	all := trusted(t, "127.0.0.1")
	listener := edge.ProxyProtocol(inner, func() edge.Trusted { return all })
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	_ = client.SetDeadline(time.Now().Add(10 * time.Second))
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	if _, err := io.WriteString(client, "PROXY UNKNOWN\r\nhello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(server, "answer"); err != nil {
		t.Fatal(err)
	}
	if err := server.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || string(got) != "answer" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := io.WriteString(client, " again"); err != nil {
		t.Error(err)
	}
	buf := make([]byte, len("hello again"))
	if _, err := io.ReadFull(server, buf); err != nil || string(buf) != "hello again" {
		t.Errorf("%q, %v", buf, err)
	}
}

// The PROXY protocol names the client, when a trusted proxy speaks it; from others it is nonsense, and the connection ends.
func TestProxyProtocol(t *testing.T) {
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x09\x0a\x00\x00\x01\x12\x34\x00\x50"
	local := "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	for _, row := range []struct {
		name, trusted, header string
		client                string // "": the connection ends without an answer that is any good
	}{
		{"version 1", "127.0.0.1", "PROXY TCP4 198.51.100.9 10.0.0.1 4660 80\r\n", "198.51.100.9:4660"},
		{"version 1, IPv6", "127.0.0.1", "PROXY TCP6 2001:db8::1 2001:db8::2 4660 80\r\n", "[2001:db8::1]:4660"},
		{"version 2", "127.0.0.1", v2, "198.51.100.9:4660"},
		{"a health check of the proxy", "127.0.0.1", local, "127.0.0.1:"},
		{"without a header", "127.0.0.1", "", "127.0.0.1:"},
		{"a header that is none", "127.0.0.1", "PROXY nonsense\r\n", ""},
		{"a header without an end", "127.0.0.1", "PROXY TCP4 " + strings.Repeat("1", 200), ""},
		{"version 1 from another", "192.0.2.1", "PROXY TCP4 198.51.100.9 10.0.0.1 4660 80\r\n", ""},
		{"version 2 from another", "192.0.2.1", v2, ""},
		{"another without a header", "192.0.2.1", "", "127.0.0.1:"},
	} {
		t.Run(row.name, func(t *testing.T) {
			all := trusted(t, row.trusted)
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.RemoteAddr) }))
			srv.Listener = edge.ProxyProtocol(srv.Listener, func() edge.Trusted { return all })
			srv.Start()
			defer srv.Close()
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(conn, row.header+"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if row.client == "" {
				if err == nil && resp.StatusCode < 400 {
					t.Errorf("answered by %s", resp.Status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if !strings.HasPrefix(string(body), row.client) {
				t.Errorf("the client is %s, want %s", body, row.client)
			}
		})
	}
}
