package logins

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"holdfast/internal/edge/certs/certstest"
	"holdfast/test/clients"
	"holdfast/test/cluster"
	"holdfast/test/cluster/clustertest"
	"holdfast/test/provider"
)

// password is everybody's.
const password = "correct-horse"

// A site is three replicas behind HAProxy over a real S3 server, open to people in one way.
type site struct {
	t        *testing.T
	dir      string
	host     string // HAProxy's
	base     string // its URL
	front    string // what clients are told instead; empty: host
	people   []string
	cluster  *cluster.Cluster
	provider *provider.Server
	tls      string            // the file for HAProxy where the replicas speak TLS; empty: they do not
	pairs    map[string]string // folders of certificates, by whose they are; none without TLS
}

// HAProxy's files for replicas that speak TLS.
const (
	through = "haproxy-passthrough.cfg" // it does not look into it
	between = "haproxy-tls.cfg"         // it speaks TLS with both sides
)

// newSite chooses where a site will be. Nothing runs yet.
func newSite(t *testing.T, people []string) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: clients.Short(t), host: l.Addr().String(), people: people}
	s.base = "http://" + s.host
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// start starts it by a part of a configuration, of which http has its values.
func (s *site) start(part map[string]any) {
	s.t.Helper()
	opt := cluster.Options{Binary: binary(s.t), HAProxyConfig: "../../../deploy/haproxy/haproxy.cfg", Edit: func(cfg map[string]any) {
		h := cfg["http"].(map[string]any)
		h["trustedProxies"] = []string{"127.0.0.1"}
		maps.Copy(h, part)
	}}
	_, port, err := net.SplitHostPort(s.host)
	if err == nil {
		_, err = fmt.Sscan(port, &opt.HAProxyPort)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if s.tls != "" {
		ca := certstest.New(s.t, "authority")
		pair := ca.Issue(x509.Certificate{
			Subject: pkix.Name{CommonName: "registry"}, DNSNames: []string{"registry"}, IPAddresses: append([]net.IP{net.IPv4(127, 0, 0, 1)}, outer(s.t)...),
		})
		front := filepath.Join(s.dir, "front")
		if err := os.Mkdir(front, 0o700); err != nil {
			s.t.Fatal(err)
		}
		authorities := certstest.Write(s.t, front, "ca.pem", ca.PEM())
		part["tls"] = map[string]any{"cert": certstest.Write(s.t, s.dir, "cert.pem", pair.Cert), "key": certstest.Write(s.t, s.dir, "key.pem", pair.Key), "cacert": authorities}
		certstest.Write(s.t, front, "registry.pem", slices.Concat(pair.Cert, pair.Key))
		part["proxyProtocol"] = s.tls == through
		opt.HAProxyConfig, opt.HAProxyCerts, opt.Trust = "../../../deploy/haproxy/"+s.tls, front, ca.Pool()
		s.base = "https://" + s.host
		s.certificates(ca)
	}
	s.cluster = clustertest.Start(s.t, opt)
}

// outer is an address of this machine that is not of the loopback interface; none, where there is none.
func outer(t *testing.T) []net.IP {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return []net.IP{n.IP}
		}
	}
	return nil
}

// outside is another name of the site, at an address that is not of the loopback interface; "" where there is none. What comes there is handed on as it is.
func (s *site) outside(t *testing.T) string {
	t.Helper()
	at := outer(t)
	if len(at) == 0 {
		return ""
	}
	l, err := net.Listen("tcp", net.JoinHostPort(at[0].String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return // closed
			}
			to, err := net.Dial("tcp", s.host)
			if err != nil {
				_ = from.Close()
				continue
			}
			hand := func(to, from net.Conn) {
				_, _ = io.Copy(to, from) // what breaks off here breaks off for the client
				_ = to.Close()
			}
			go hand(to, from)
			go hand(from, to)
		}
	}()
	return l.Addr().String()
}

// certificates makes a folder for whoever has a certificate, one for who has one of another authority, and one for who has none, each as podman likes it.
func (s *site) certificates(ca *certstest.Authority) {
	s.t.Helper()
	other := certstest.New(s.t, "another authority")
	s.pairs = map[string]string{}
	for name, from := range map[string]*certstest.Authority{"none": nil, "good": ca, "wrong": other} {
		dir := filepath.Join(s.dir, "certs-"+name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			s.t.Fatal(err)
		}
		certstest.Write(s.t, dir, "ca.crt", ca.PEM())
		if from != nil {
			pair := from.Client("alice")
			certstest.Write(s.t, dir, "client.cert", pair.Cert)
			certstest.Write(s.t, dir, "client.key", pair.Key)
		}
		s.pairs[name] = dir
	}
}

// htpasswd writes a file of everybody's password.
func (s *site) htpasswd() string {
	s.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		s.t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range append([]string{guest}, s.people...) {
		fmt.Fprintf(&text, "%s:%s\n", name, hash)
	}
	return certstest.Write(s.t, s.dir, "htpasswd", []byte(text.String()))
}

// answer is one with its body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// into reads a body of JSON.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
}

// ask makes a request with headers (name, value, ...); of a form the method is POST and the body the form.
func ask(t *testing.T, method, to, body string, header ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, text}
}

// basic is the header of a name and a password.
func basic(name, password string) []string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return []string{"Authorization", r.Header.Get("Authorization")}
}

// bearer is the header of a token.
func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// key makes an API key at a replica, or through HAProxy, for whom the headers name.
func key(t *testing.T, at string, header ...string) (key, id string) {
	t.Helper()
	a := ask(t, http.MethodPost, at+"/zot/auth/apikey", `{"label":"of a test"}`, header...)
	var made struct{ APIKey, UUID string }
	if a.into(t, &made); a.status != http.StatusCreated || made.APIKey == "" || made.UUID == "" {
		t.Fatalf("an API key is answered %s", a)
	}
	return made.APIKey, made.UUID
}

// browse logs a person in with a browser that reaches the registry by dial, as provider.NewBrowser has it, at the URL base; step is called after each of the three steps.
func browse(t *testing.T, b *provider.Browser, base, person string, step func()) {
	t.Helper()
	get := func(to string) *provider.Answer {
		t.Helper()
		resp, body, err := b.Do(t.Context(), http.MethodGet, to, nil)
		if err != nil || resp.StatusCode != http.StatusFound {
			t.Fatalf("GET %s: %v %+v %s", to, err, resp, body)
		}
		step()
		return resp
	}
	back, err := b.LogIn(t.Context(), get(base+"/zot/auth/login?provider=oidc&callback_ui=%2Fhome").Header.Get("Location"), person, base+"/zot/auth/callback/oidc")
	if err != nil {
		t.Fatal(err)
	}
	get(back)
}

// cookies is the header that a browser's cookies are, as zot's user interface sends it.
func cookies(t *testing.T, b *provider.Browser, base string) []string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range b.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return []string{"Cookie", strings.Join(all, "; "), "X-ZOT-API-CLIENT", "zot-ui"}
}
