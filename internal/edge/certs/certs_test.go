package certs_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/edge/certs"
	"holdfast/internal/edge/certs/certstest"
)

func files(t *testing.T, cert, key, ca []byte) certs.Files {
	t.Helper()
	dir := t.TempDir()
	f := certs.Files{Cert: certstest.Write(t, dir, "cert.pem", cert), Key: certstest.Write(t, dir, "key.pem", key)}
	if ca != nil {
		f.CA = certstest.Write(t, dir, "ca.pem", ca)
	}
	return f
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// B75: what is wrong with the files is said at the start, of all files at once, with path and cause.
func TestWrongFiles(t *testing.T) {
	now := time.Now()
	ca := certstest.New(t, "ca")
	good, other := ca.Server(), ca.Server()
	dated := func(from, to time.Duration) certstest.Pair {
		return ca.Issue(x509.Certificate{DNSNames: []string{"registry"}, NotBefore: now.Add(from), NotAfter: now.Add(to)})
	}
	expired, early := dated(-2*time.Hour, -time.Hour), dated(time.Hour, 2*time.Hour)
	common := ca.Client("registry.example.com")
	forClients := ca.Issue(x509.Certificate{DNSNames: []string{"registry"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("canary")})
	old := []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nY2FuYXJ5\n-----END RSA PRIVATE KEY-----\n")
	for name, row := range map[string]struct {
		cert, key, ca []byte
		want          []string
	}{
		"good":             {good.Cert, good.Key, nil, nil},
		"with a chain":     {join(good.Cert, ca.PEM()), good.Key, ca.PEM(), nil},
		"one file":         {join(good.Key, good.Cert), join(good.Cert, good.Key), nil, nil},
		"of another":       {good.Cert, other.Key, nil, []string{"cert.pem: is not the certificate of the key in ", "key.pem"}},
		"chain first":      {join(ca.PEM(), good.Cert), good.Key, nil, []string{"cert.pem: the certificate of the key is number 2: want it first"}},
		"expired":          {expired.Cert, expired.Key, nil, []string{"cert.pem: the certificate expired at 20"}},
		"not yet":          {early.Cert, early.Key, nil, []string{"cert.pem: the certificate is not valid before 20"}},
		"common name only": {common.Cert, common.Key, nil, []string{"cert.pem: the certificate names its host in the common name only"}},
		"for clients":      {forClients.Cert, forClients.Key, nil, []string{"cert.pem: the certificate is not for servers"}},
		"encrypted":        {good.Cert, encrypted, nil, []string{"key.pem: the key is encrypted"}},
		"encrypted of old": {good.Cert, old, nil, []string{"key.pem: the key is encrypted"}},
		"no key":           {good.Cert, good.Cert, nil, []string{"key.pem: no private key in PEM"}},
		"damaged key":      {good.Cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("canary")}), nil, []string{"key.pem: the key is damaged"}},
		"no certificate":   {good.Key, good.Key, nil, []string{"cert.pem: no certificate in PEM"}},
		"damaged":          {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), good.Key, nil, []string{"cert.pem: certificate number 1 is damaged"}},
		"no authority":     {good.Cert, good.Key, []byte("nothing"), []string{"ca.pem: no certificate in PEM"}},
		"all at once":      {expired.Cert, encrypted, []byte{}, []string{"cert.pem: the certificate expired", "key.pem: the key is encrypted", "ca.pem: no certificate"}},
	} {
		_, err := certs.Check(files(t, row.cert, row.key, row.ca), now)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if (err == nil) != (row.want == nil) || strings.Contains(text, "canary") {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range row.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	missing := certs.Files{Cert: "/none/cert", Key: t.TempDir(), CA: "/none/ca"}
	if _, err := certs.Check(missing, now); err == nil || !strings.Contains(err.Error(), "/none/cert: no such file") || !strings.Contains(err.Error(), "not a regular file") || !strings.Contains(err.Error(), "/none/ca") {
		t.Errorf("missing files: %v", err)
	}
}

// B75: what is not wrong yet is a warning.
func TestWarnings(t *testing.T) {
	now := time.Now()
	ca := certstest.New(t, "ca")
	pair := ca.Issue(x509.Certificate{DNSNames: []string{"registry"}, NotAfter: now.Add(13*24*time.Hour + time.Hour)})
	f := files(t, pair.Cert, pair.Key, ca.PEM())
	if err := os.Chmod(f.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	warnings, err := certs.Check(f, now)
	if text := strings.Join(warnings, "\n"); err != nil || len(warnings) != 2 || !strings.Contains(text, "expires in 13 days") || !strings.Contains(text, "key.pem: the file has mode 0644") {
		t.Errorf("%q, %v", warnings, err)
	}
	if err := os.Chmod(f.Key, 0o640); err != nil { // as Kubernetes gives a Secret to a group
		t.Fatal(err)
	}
	if warnings, err = certs.Check(f, now.Add(-3*24*time.Hour)); err == nil {
		t.Errorf("before it is valid: %q", warnings)
	}
	if warnings, err = certs.Check(f, now.Add(-10*time.Minute)); err != nil || len(warnings) != 1 {
		t.Errorf("%q, %v", warnings, err)
	}
	old := certstest.Write(t, t.TempDir(), "chain.pem", join(pair.Cert, ca.Issue(x509.Certificate{NotAfter: now.Add(-time.Hour)}).Cert))
	if warnings, err = certs.Check(certs.Files{Cert: old, Key: f.Key}, now.Add(-10*time.Minute)); err != nil || !strings.Contains(strings.Join(warnings, "\n"), "certificate number 2, of the chain, expired") {
		t.Errorf("%q, %v", warnings, err)
	}
	if warnings, err = certs.Check(f, now.Add(400*24*time.Hour)); err == nil || len(warnings) != 1 || !strings.Contains(warnings[0], `the authority "ca" expired`) {
		t.Errorf("%q, %v", warnings, err)
	}
}

// keeper is one that looks at its files.
type keeper struct {
	*certs.Keeper
	log logs
}

type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func open(t *testing.T, f certs.Files) *keeper {
	t.Helper()
	k := &keeper{}
	var err error
	// The bubble's clock is decades behind the certificates, which are of now.
	shift := time.Until(realNow)
	if k.Keeper, err = certs.Open(t.Context(), f, func() time.Time { return time.Now().Add(shift) }, slog.New(slog.NewTextHandler(&k.log, nil))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { k.Watch(ctx, 5*time.Second) })
	t.Cleanup(func() { cancel(); done.Wait() })
	return k
}

// realNow is outside of any bubble.
var realNow = time.Now()

func (k *keeper) serves(t *testing.T, leaf *x509.Certificate) {
	t.Helper()
	cfg, err := k.Config().GetConfigForClient(nil)
	if err != nil || !bytes.Equal(cfg.Certificates[0].Certificate[0], leaf.Raw) {
		t.Errorf("another certificate is served; %v", err)
	}
}

// B76: files that are not good change nothing, and are told of; good ones are taken within 5 s.
func TestReload(t *testing.T) {
	ca := certstest.New(t, "ca")
	first, second := ca.Server(), ca.Server()
	stale := ca.Issue(x509.Certificate{DNSNames: []string{"registry"}, NotAfter: realNow.Add(-time.Minute)})
	f := files(t, first.Cert, first.Key, nil)
	dir := filepath.Dir(f.Cert)
	synctest.Test(t, func(t *testing.T) {
		k := open(t, f)
		const refused = "new files of TLS are refused"
		wait := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		wait(12 * time.Second)
		k.serves(t, first.Leaf)

		// Two files are replaced one after the other: nothing is told of the moment between.
		certstest.Write(t, dir, "cert.pem", second.Cert)
		wait(5 * time.Second)
		k.serves(t, first.Leaf)
		certstest.Write(t, dir, "key.pem", second.Key)
		wait(5 * time.Second)
		k.serves(t, second.Leaf)
		if taken, bad, failed := k.Counts(); taken != 1 || bad != 0 || failed || k.log.count(refused) != 0 {
			t.Errorf("%d taken, %d refused, failed %v: %s", taken, bad, failed, k.log.text.String())
		}

		// What stays wrong is told once.
		certstest.Write(t, dir, "cert.pem", []byte("nonsense"))
		wait(60 * time.Second)
		k.serves(t, second.Leaf)
		if taken, bad, failed := k.Counts(); taken != 1 || bad != 1 || !failed || k.log.count(refused) != 1 {
			t.Errorf("%d taken, %d refused, failed %v: %s", taken, bad, failed, k.log.text.String())
		}
		// Asked for by hand it is told at once, and again.
		if err := k.Turn(t.Context(), f); err == nil || k.log.count(refused) != 2 {
			t.Errorf("%v: %s", err, k.log.text.String())
		}
		// One that has expired is not taken either.
		certstest.Write(t, dir, "cert.pem", stale.Cert)
		certstest.Write(t, dir, "key.pem", stale.Key)
		wait(10 * time.Second)
		k.serves(t, second.Leaf)
		if k.log.count("the certificate expired at") != 1 {
			t.Errorf("%s", k.log.text.String())
		}
		// The files go away, and come back as they were.
		if err := os.Remove(f.Key); err != nil {
			t.Fatal(err)
		}
		wait(10 * time.Second)
		k.serves(t, second.Leaf)
		certstest.Write(t, dir, "cert.pem", second.Cert)
		certstest.Write(t, dir, "key.pem", second.Key)
		wait(5 * time.Second)
		if taken, _, failed := k.Counts(); taken != 1 || failed {
			t.Errorf("as before: %d taken, failed %v", taken, failed)
		}
	})
}

// A volume of Kubernetes is a folder behind a link, which is turned to another.
func TestLinkIsTurned(t *testing.T) {
	ca := certstest.New(t, "ca")
	first, second := ca.Server(), ca.Server()
	volume := t.TempDir()
	turn := func(name string, p certstest.Pair) {
		dir := filepath.Join(volume, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		certstest.Write(t, dir, "tls.crt", p.Cert)
		certstest.Write(t, dir, "tls.key", p.Key)
		link := filepath.Join(volume, "..data")
		if err := os.Symlink(name, link+"_tmp"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+"_tmp", link); err != nil {
			t.Fatal(err)
		}
	}
	turn("..1", first)
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(volume, name)); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		k := open(t, certs.Files{Cert: filepath.Join(volume, "tls.crt"), Key: filepath.Join(volume, "tls.key")})
		k.serves(t, first.Leaf)
		turn("..2", second)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		k.serves(t, second.Leaf)
	})
}

// Other authorities, and none, hold for the next connection.
func TestAuthoritiesAreTurned(t *testing.T) {
	ours, theirs := certstest.New(t, "ours"), certstest.New(t, "theirs")
	pair := ours.Server()
	f := files(t, pair.Cert, pair.Key, ours.PEM())
	synctest.Test(t, func(t *testing.T) {
		k := open(t, f)
		pool := func() *x509.CertPool {
			cfg, _ := k.Config().GetConfigForClient(nil)
			return cfg.ClientCAs
		}
		if !k.Asks() || !pool().Equal(ours.Pool()) {
			t.Error("at the start they are others")
		}
		certstest.Write(t, filepath.Dir(f.CA), "ca.pem", theirs.PEM())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !pool().Equal(theirs.Pool()) {
			t.Error("they stay as they were")
		}
		f.CA = ""
		if err := k.Turn(t.Context(), f); err != nil || k.Asks() {
			t.Errorf("clients are asked still: %v", err)
		}
	})
}
