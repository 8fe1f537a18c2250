package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/edge/certs/certstest"
	"holdfast/test/cluster"
	"holdfast/test/ports"
)

// site is a replica with TLS, and HAProxy with a published file before it.
type site struct {
	t        *testing.T
	dir      string
	ca       *certstest.Authority
	replica  string // host:port
	haproxy  string // the same
	log      string // of the replica
	commands []*exec.Cmd
}

// free is a port that nobody has.
func free(t *testing.T) int {
	t.Helper()
	found, err := ports.Free(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return found[0]
}

// start runs a replica by a part of a configuration, and HAProxy by a file of deploy/haproxy.
func start(t *testing.T, file string, http map[string]any) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), ca: certstest.New(t, "ca")}
	pair := s.ca.Server()
	http["tls"] = map[string]string{"cert": certstest.Write(t, s.dir, "cert.pem", pair.Cert), "key": certstest.Write(t, s.dir, "key.pem", pair.Key)}
	authorities := certstest.Write(t, s.dir, "ca.pem", s.ca.PEM())
	if http["accessControl"] != nil {
		http["tls"].(map[string]string)["cacert"] = authorities
	}
	certstest.Write(t, s.dir, "registry.pem", append(slices.Clone(pair.Cert), pair.Key...))
	program, port, front := binary(t), free(t), free(t)
	s.replica, s.haproxy, s.log = fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", front), filepath.Join(s.dir, "log")
	http["address"], http["port"], http["drainDelay"] = "127.0.0.1", port, "0s"
	config, err := json.Marshal(map[string]any{"storage": map[string]any{"rootDirectory": filepath.Join(s.dir, "data")}, "http": http, "log": map[string]any{"output": s.log, "level": "debug"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	s.run(program, "serve", certstest.Write(t, s.dir, "config.json", config))
	s.wait("https://" + s.replica + "/readyz")

	text, err := os.ReadFile("../../deploy/haproxy/" + file)
	if err != nil {
		t.Fatal(err)
	}
	path := certstest.Write(t, s.dir, "haproxy.cfg", []byte(s.local(string(text), front)))
	s.run(tool(t, "haproxy"), "-f", path)
	s.wait("https://" + s.haproxy + "/readyz")
	return s
}

// local is a published file for one replica on this machine, run by whoever tests.
func (s *site) local(text string, front int) string {
	errors, err := filepath.Abs("../../deploy/haproxy/errors")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range [][2]string{
		{`(?m)^\s+(chroot|user|group|daemon|stats socket).*\n`, ""},
		{`(?m)^(\s+)log /dev/log.*$`, "${1}log stderr format raw local0"},
		{`(?m)^\s+server replica[23] .*\n`, ""},
		{`server replica1 \S+`, "server replica1 " + s.replica},
		{`bind \*:\d+`, fmt.Sprintf("bind 127.0.0.1:%d", front)},
		{`/etc/haproxy/certs/`, s.dir + "/"},
		{`/etc/haproxy/holdfast/`, errors + "/"},
	} {
		text = regexp.MustCompile(r[0]).ReplaceAllString(text, r[1])
	}
	return text
}

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := cluster.Tool(name)
	if err != nil {
		t.Fatal(err, "; or scripts/tools.sh clients")
	}
	return path
}

func binary(t *testing.T) string {
	t.Helper()
	path, err := cluster.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *site) run(path string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.commands = append(s.commands, cmd)
}

func (s *site) end() {
	for _, cmd := range slices.Backward(s.commands) {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		done := make(chan struct{})
		go func() { defer close(done); _ = cmd.Wait() }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
	}
}

// client asks from another address of this machine than HAProxy does.
func (s *site) client(config *tls.Config) *http.Client {
	config.RootCAs = s.ca.Pool()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: config, DisableKeepAlives: true, DialContext: dialer.DialContext,
	}}
}

// get returns the status of an answer.
func (s *site) get(client *http.Client, url string, header http.Header) (int, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Body.Close()
}

func (s *site) wait(url string) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		status, err := s.get(s.client(&tls.Config{}), url, nil)
		if err == nil && status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: %v", url, err)
		}
	}
}

// logged waits for a line of the replica's log that has all texts.
func (s *site) logged(texts ...string) bool {
	s.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(s.log)
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if !slices.ContainsFunc(texts, func(want string) bool { return !bytes.Contains(line, []byte(want)) }) {
				return true
			}
		}
	}
	return false
}

// push pushes an image with crane, as anybody would.
func (s *site) push(host string) error {
	layer := certstest.Write(s.t, s.dir, "layer.tar", make([]byte, 1024))
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool(s.t, "crane"), "append", "-f", layer, "-t", host+"/team/app:v1")
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+filepath.Join(s.dir, "ca.pem"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("crane: %w: %s", err, out)
	}
	return nil
}

// Every published file is one that HAProxy takes, without a warning.
func TestFilesAreGood(t *testing.T) {
	ca := certstest.New(t, "ca")
	pair := ca.Server()
	for _, file := range []string{"haproxy.cfg", "haproxy-tls.cfg", "haproxy-passthrough.cfg"} {
		s := &site{t: t, dir: t.TempDir(), replica: "127.0.0.1:1"}
		certstest.Write(t, s.dir, "registry.pem", append(slices.Clone(pair.Cert), pair.Key...))
		certstest.Write(t, s.dir, "ca.pem", ca.PEM())
		text, err := os.ReadFile("../../deploy/haproxy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		withTLS := strings.NewReplacer("# ssl-", "ssl-", "# bind", "bind", "# http-request", "http-request").Replace(string(text))
		for _, text := range []string{string(text), withTLS} {
			path := certstest.Write(t, s.dir, "haproxy.cfg", []byte(s.local(text, free(t))))
			out, err := exec.CommandContext(t.Context(), tool(t, "haproxy"), "-c", "-V", "-f", path).CombinedOutput()
			if err != nil || bytes.Contains(out, []byte("WARNING")) {
				t.Errorf("%s: %v: %s", file, err, out)
			}
		}
	}
}

// TLS ends in HAProxy, which speaks it with the replicas: the client is who HAProxy says, whatever it says itself.
func TestTLSEndsInHAProxy(t *testing.T) {
	s := start(t, "haproxy-tls.cfg", map[string]any{"trustedProxies": []string{"127.0.0.1"}})
	spoofed := http.Header{"X-Forwarded-For": {"6.6.6.6"}, "Forwarded": {"for=7.7.7.7"}, "X-Forwarded-Proto": {"http"}, "X-Request-Id": {"through"}}
	if status, err := s.get(s.client(&tls.Config{}), "https://"+s.haproxy+"/v2/", spoofed); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v", status, err)
	}
	if !s.logged(`"request":"through"`, `"client":"127.0.0.2"`, `"proxy":"127.0.0.1:`) {
		t.Error("the log does not name the client")
	}
	spoofed.Set("X-Request-Id", "direct")
	if status, err := s.get(s.client(&tls.Config{}), "https://"+s.replica+"/v2/", spoofed); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v", status, err)
	}
	if !s.logged(`"request":"direct"`, `"client":"127.0.0.2:`) {
		t.Error("A43: a client that is no proxy names another")
	}
	if err := s.push(s.haproxy); err != nil {
		t.Error(err)
	}
	for _, at := range []string{s.haproxy, s.replica} {
		for args, want := range map[string]string{"--http2": "2 200", "--http1.1": "1.1 200", "--tls-max 1.2": "2 200"} {
			if got := s.curl(at, args); got != want {
				t.Errorf("curl %s at %s: %q, want %q", args, at, got, want)
			}
		}
		if got := s.curl(at, "--tls-max 1.1"); !strings.HasPrefix(got, "0 000") {
			t.Errorf("A70: TLS 1.1 at %s: %q", at, got)
		}
	}
}

// curl is the version of HTTP and the status that curl gets, "0 000" for no answer.
func (s *site) curl(at, args string) string {
	all := append(strings.Fields(args), "-s", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--cacert", filepath.Join(s.dir, "ca.pem"), "https://"+at+"/v2/")
	out, _ := exec.CommandContext(s.t.Context(), tool(s.t, "curl"), all...).Output() // its exit code is that of no answer, which shows
	return string(out)
}

// TLS goes through HAProxy: clients show the replica their certificates, and it learns their addresses by the PROXY protocol.
func TestTLSGoesThrough(t *testing.T) {
	s := start(t, "haproxy-passthrough.cfg", map[string]any{
		"trustedProxies": []string{"127.0.0.1"}, "proxyProtocol": true,
		"accessControl": map[string]any{"repositories": map[string]any{"team/**": map[string]any{"anonymousPolicy": []string{"read", "create"}}}}, // for crane, which has no certificate
	})
	good := s.client(&tls.Config{Certificates: []tls.Certificate{s.ca.Client("alice").TLS}})
	if status, err := s.get(good, "https://"+s.haproxy+"/v2/", http.Header{"X-Request-Id": {"through"}, "X-Forwarded-For": {"6.6.6.6"}}); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v", status, err)
	}
	if !s.logged(`"request":"through"`, `"client":"127.0.0.2:`) {
		t.Error("the log does not name the client")
	}
	mallory := certstest.New(t, "mallory").Client("alice").TLS
	bad := s.client(&tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &mallory, nil }})
	if status, err := s.get(bad, "https://"+s.haproxy+"/v2/", nil); err == nil {
		t.Errorf("A70: the certificate of another authority is answered %d", status)
	}
	// Who is no proxy may not name another client: it is no TLS then.
	conn, err := s.client(&tls.Config{}).Transport.(*http.Transport).DialContext(t.Context(), "tcp", s.replica)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, "PROXY TCP4 6.6.6.6 10.0.0.1 4660 80\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := tls.Client(conn, &tls.Config{RootCAs: s.ca.Pool(), ServerName: "registry"}).HandshakeContext(t.Context()); err == nil {
		t.Error("A43: the PROXY protocol of a peer that is no proxy is taken")
	}
	if err := s.push(s.haproxy); err != nil {
		t.Error(err)
	}
}
