package abuse

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// An authority makes certificates.
type authority struct {
	a    *attack
	key  *rsa.PrivateKey
	cert *x509.Certificate
	der  []byte
}

func newAuthority(a *attack, name string) *authority {
	a.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		a.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		a.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	return &authority{a, key, cert, der}
}

func (ca *authority) pem() string { return block("CERTIFICATE", ca.der) }

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// A leaf is a certificate with its key, in PEM.
type leaf struct{ cert, key string }

// leaf makes a certificate for 127.0.0.1, good for 90 days, but for what change says.
func (ca *authority) leaf(name string, change func(*x509.Certificate)) leaf {
	ca.a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.a.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		ca.a.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		DNSNames: []string{
			"registry.test",
		}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		ca.a.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		ca.a.Fatal(err)
	}
	return leaf{block("CERTIFICATE", der), block("PRIVATE KEY", keyDER)}
}

// secure is a configuration that speaks TLS with files.
func (a *attack) secure(cert, key, ca string) map[string]any {
	cfg := a.local()
	section := map[string]any{"cert": cert, "key": key}
	http := cfg["http"].(map[string]any)
	if ca != "" {
		section["cacert"] = ca
		http["auth"] = map[string]any{"mtls": map[string]any{"identityAttributes": []string{"CommonName"}}, "htpasswd": map[string]any{"path": a.main.htpasswd}}
	}
	http["tls"] = section
	return cfg
}

// handshake begins TLS as cfg says.
func (a *attack) handshake(address string, cfg *tls.Config) (*tls.Conn, error) {
	cfg.ServerName = "127.0.0.1"
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: cfg}
	conn, err := d.DialContext(a.Context(), "tcp", address)
	if err != nil {
		return nil, err
	}
	a.Cleanup(func() { _ = conn.Close() })
	return conn.(*tls.Conn), conn.SetDeadline(time.Now().Add(30 * time.Second))
}

// over asks for a path by TLS.
func (a *attack) over(address string, cfg *tls.Config, path string) (int, *x509.Certificate, error) {
	conn, err := a.handshake(address, cfg)
	if err != nil {
		return 0, nil, err
	}
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: registry.test\r\nConnection: close\r\n\r\n"); err != nil {
		return 0, nil, err
	}
	text, err := io.ReadAll(conn)
	if err != nil && len(text) == 0 {
		return 0, nil, err
	}
	var status int
	if _, err := fmt.Sscanf(string(text), "HTTP/1.1 %d", &status); err != nil {
		return 0, nil, fmt.Errorf("no answer: %q: %w", clip(string(text)), err)
	}
	return status, conn.ConnectionState().PeerCertificates[0], nil
}

// tlsRows are connections and certificates that must not be taken. A proxy would end TLS itself, so that they are asked at a replica of their own.
func tlsRows() []row {
	return []row{
		{number: "A70", name: "old versions, weak ciphers, certificates of another authority", at: once, run: func(a *attack) {
			ca, other := newAuthority(a, "authority"), newAuthority(a, "another")
			server := ca.leaf("registry.test", nil)
			p := a.serve(a.config(a.secure(a.file("cert", server.cert), a.file("key", server.key), a.file("ca", ca.pem()))))
			roots := x509.NewCertPool()
			roots.AddCert(ca.cert)
			try := func(cfg *tls.Config) (int, error) {
				cfg.RootCAs = roots
				status, _, err := a.over(p.address, cfg, "/v2/")
				return status, err
			}
			if status, err := try(&tls.Config{MinVersion: tls.VersionTLS12}); err != nil || status != 401 {
				a.Fatalf("TLS of today: %d, %v", status, err)
			}
			version := func(v uint16) *tls.Config { return &tls.Config{MinVersion: v, MaxVersion: v} }
			suites := func(suites ...uint16) *tls.Config {
				return &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: suites}
			}
			for name, cfg := range map[string]*tls.Config{
				"TLS 1.0":            version(tls.VersionTLS10),
				"TLS 1.1":            version(tls.VersionTLS11),
				"RC4":                suites(tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_RC4_128_SHA),
				"3DES":               suites(tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA),
				"CBC":                suites(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA),
				"no forward secrecy": suites(tls.TLS_RSA_WITH_AES_128_GCM_SHA256),
			} {
				if status, err := try(cfg); err == nil {
					a.Errorf("%s is taken: %d", name, status)
				}
			}
			client := func(l leaf) *tls.Config {
				pair, err := tls.X509KeyPair([]byte(l.cert), []byte(l.key))
				if err != nil {
					a.Fatal(err)
				}
				return &tls.Config{MinVersion: tls.VersionTLS12, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
			}
			if status, err := try(client(ca.leaf("alice", nil))); err != nil || status != 200 {
				a.Errorf("a client's good certificate: %d, %v", status, err)
			}
			if status, err := try(client(other.leaf("alice", nil))); err == nil && status != 0 {
				a.Errorf("a client's certificate of another authority is taken: %d", status)
			}
			conn, err := net.DialTimeout("tcp", p.address, 5*time.Second)
			if err != nil {
				a.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // read
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
			if text, _ := io.ReadAll(conn); strings.HasPrefix(string(text), "HTTP/1.1 2") {
				a.Errorf("plain HTTP is served at the port of TLS: %s", clip(string(text)))
			}
		}},
		{number: "B65", name: "a client's certificate that has expired, or names nobody", at: once, run: func(a *attack) {
			ca := newAuthority(a, "authority")
			server := ca.leaf("registry.test", nil)
			p := a.serve(a.config(a.secure(a.file("cert", server.cert), a.file("key", server.key), a.file("ca", ca.pem()))))
			roots := x509.NewCertPool()
			roots.AddCert(ca.cert)
			show := func(l leaf) (int, error) {
				pair, err := tls.X509KeyPair([]byte(l.cert), []byte(l.key))
				if err != nil {
					a.Fatal(err)
				}
				status, _, err := a.over(p.address, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{pair}}, "/v2/")
				return status, err
			}
			if status, err := show(ca.leaf("alice", nil)); err != nil || status != 200 {
				a.Errorf("a good one: %d, %v", status, err)
			}
			for name, l := range map[string]leaf{
				"expired": ca.leaf("alice", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
				"not yet good": ca.leaf("alice", func(c *x509.Certificate) {
					c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
				}),
				"no name":     ca.leaf("", nil),
				"for servers": ca.leaf("alice", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			} {
				if status, err := show(l); err == nil && status != 401 {
					a.Errorf("%s: %d, want an alert or 401", name, status)
				}
			}
		}},
		{number: "B75", name: "certificates that cannot be served", at: once, run: func(a *attack) {
			ca := newAuthority(a, "authority")
			good := ca.leaf("registry.test", nil)
			refused := func(cert, key string, says ...string) {
				a.Helper()
				a.refuses(a.config(a.secure(a.file("cert.pem", cert), a.file("key.pem", key), "")), append(says, `http\.tls`)...)
			}
			refused(good.cert, ca.leaf("x", nil).key, "not the certificate of the key")
			refused(ca.leaf("x", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }).cert, good.key, "not the certificate of the key|expired")
			old := ca.leaf("x", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
			refused(old.cert, old.key, "expired")
			early := ca.leaf("x", func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
			})
			refused(early.cert, early.key, "not (yet|good|valid)")
			refused(ca.pem()+good.cert, good.key, "order|first|not the certificate of the key")
			bare := ca.leaf("registry.test", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil })
			refused(bare.cert, bare.key, "SAN|subject alternative|name")
			refused(good.cert, block("ENCRYPTED PRIVATE KEY", []byte("canary")), "encrypted")
			refused(good.cert, "canary", "PEM|key")
			refused("", good.key, "cert|PEM")
			open := a.file("open.pem", good.key)
			if err := os.Chmod(open, 0o644); err != nil {
				a.Fatal(err)
			}
			a.serve(a.config(a.secure(a.file("cert.pem", good.cert), open, ""))).says(a, 40*time.Second, "0644|others|everybody")
			soon := ca.leaf("x", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(10 * 24 * time.Hour) })
			a.serve(a.config(a.secure(a.file("cert.pem", soon.cert), a.file("key.pem", soon.key), ""))).says(a, 40*time.Second, "expires|days")
		}},
		{number: "B76", name: "a certificate that is broken while it runs", at: once, run: func(a *attack) {
			ca := newAuthority(a, "authority")
			first, second := ca.leaf("first", nil), ca.leaf("second", nil)
			cert, key := a.file("cert.pem", first.cert), a.file("key.pem", first.key)
			p := a.serve(a.config(a.secure(cert, key, "")))
			roots := x509.NewCertPool()
			roots.AddCert(ca.cert)
			served := func() string {
				a.Helper()
				status, c, err := a.over(p.address, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, "/v2/")
				if err != nil || status != http.StatusOK {
					a.Fatalf("%d, %v", status, err)
				}
				return c.Subject.CommonName
			}
			write := func(path, text string) {
				a.Helper()
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					a.Fatal(err)
				}
			}
			write(cert, "broken")
			p.says(a, 40*time.Second, `files of TLS are refused; those before stay in use`)
			if name := served(); name != "first" {
				a.Errorf("after a broken file the certificate is %s", name)
			}
			write(key, second.key)
			write(cert, second.cert)
			for began := time.Now(); served() != "second"; time.Sleep(200 * time.Millisecond) {
				if time.Since(began) > 40*time.Second {
					a.Fatal("the new certificate is not served")
				}
			}
		}},
		{number: "A71", name: "HTTP/2: streams that are begun and reset, headers without an end", alone: true, at: once, run: func(a *attack) {
			ca := newAuthority(a, "authority")
			server := ca.leaf("registry.test", nil)
			p := a.serve(a.config(a.secure(a.file("cert.pem", server.cert), a.file("key.pem", server.key), "")))
			roots := x509.NewCertPool()
			roots.AddCert(ca.cert)
			begin := func() *tls.Conn {
				a.Helper()
				conn, err := a.handshake(p.address, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, NextProtos: []string{"h2"}})
				if err != nil {
					a.Fatal(err)
				}
				if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
					a.Fatalf("the protocol is %q, want h2", got)
				}
				_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
				_, _ = conn.Write(frame(4, 0, 0, nil))
				go func() { _, _ = io.Copy(io.Discard, conn) }()
				return conn
			}
			get := []byte{0x82, 0x87, 0x04, 4, '/', 'v', '2', '/', 0x41, 1, 'x'} // GET, https, :path /v2/, :authority x
			streams := 10_000
			if a.full {
				streams = 100_000
			}
			conn, sent := begin(), 0
			var batch bytes.Buffer
			for n := range streams {
				batch.Write(frame(1, 5, uint32(2*n+1), get))
				batch.Write(frame(3, 0, uint32(2*n+1), []byte{0, 0, 0, 8}))
				if batch.Len() > 16<<10 {
					if _, err := batch.WriteTo(conn); err != nil {
						break // it has had enough
					}
					sent = n
				}
			}
			conn, continued := begin(), 0
			if _, err := conn.Write(frame(1, 1, 1, get)); err != nil {
				a.Fatal(err)
			}
			for range 20_000 {
				if _, err := conn.Write(frame(9, 0, 1, append([]byte{0x00, 1, 'x', 0x7f, 0x81, 7}, make([]byte, 1000)...)[:262])); err != nil {
					break
				}
				continued++
			}
			if continued == 20_000 {
				a.Error("a header without an end is read for ever")
			}
			began := time.Now()
			for range 20 {
				if status, _, err := a.over(p.address, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, "/v2/"); err != nil || status != 200 {
					a.Fatalf("afterwards an honest client is answered %d, %v", status, err)
				}
			}
			a.measured("%d streams reset, %d frames of a header taken; then an honest request takes %v", sent, continued, time.Since(began)/20)
		}},
	}
}

// frame is one of HTTP/2 (RFC 9113, 4.1).
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := make([]byte, 9, 9+len(payload))
	binary.BigEndian.PutUint32(head, uint32(len(payload))<<8)
	head[3], head[4] = kind, flags
	binary.BigEndian.PutUint32(head[5:], stream)
	return append(head, payload...)
}
