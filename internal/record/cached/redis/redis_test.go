package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/edge/certs/certstest"
	"holdfast/internal/record/cached"
	"holdfast/internal/record/cached/cachedtest"
	"holdfast/test/cache"
)

// logged keeps what is logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func open(t *testing.T, cfg Config) *Cache {
	t.Helper()
	c, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// works waits until a value that is written is read again.
func works(t *testing.T, c *Cache) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := c.Set(t.Context(), "works", []byte("v"), time.Minute)
		if err == nil {
			var got [][]byte
			if got, err = c.Get(t.Context(), []string{"works"}); err == nil && string(got[0]) == "v" {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatal("the cache does not work:", err)
		}
	}
}

func server(t *testing.T, directives ...string) *cache.Redis {
	t.Helper()
	r, err := cache.StartRedis(t.Context(), t.TempDir(), directives...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Kill)
	return r
}

func TestStandalone(t *testing.T) {
	r := server(t, "requirepass secret")
	for name, cfg := range map[string]Config{
		"RESP3": {Password: "secret", DB: 3, ClientName: "one", Prefix: "p"},
		"RESP2": {Username: "default", Password: "secret", RESP2: true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Addresses = []string{r.Address}
			cachedtest.Run(t, func(t *testing.T) cached.Cache {
				c := open(t, cfg)
				works(t, c)
				return c
			})
		})
	}
	for _, key := range []string{"p:hf:works", "zot:hf:works"} {
		if n, err := r.Do(t.Context(), "EXISTS", key); err != nil || n != "1" && !strings.HasPrefix(key, "p") {
			t.Errorf("EXISTS %s: %s, %v", key, n, err)
		}
	}
}

func TestSocket(t *testing.T) {
	path := t.TempDir() + "/s"
	server(t, "unixsocket "+path)
	works(t, open(t, Config{Addresses: []string{path}}))
}

// TLS, with a certificate of ours; and a server of an authority which nobody named.
func TestTLS(t *testing.T) {
	ca, dir := certstest.New(t, "authority"), t.TempDir()
	ours, theirs := ca.Client("registry"), ca.Server()
	write := func(name string, text []byte) string { return certstest.Write(t, dir, name, text) }
	caFile := write("ca.pem", ca.PEM())
	plain := server(t, "unixsocket "+dir+"/s", "tls-ca-cert-file "+caFile,
		"tls-cert-file "+write("server.pem", theirs.Cert), "tls-key-file "+write("server.key", theirs.Key), "tls-auth-clients yes")
	port := freePort(t)
	if _, err := plain.Do(t.Context(), "CONFIG", "SET", "tls-port", port); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Addresses: []string{"127.0.0.1:" + port}, TLS: true, CAFile: caFile,
		CertFile: write("client.pem", ours.Cert), KeyFile: write("client.key", ours.Key),
	}
	works(t, open(t, cfg))
	for name, change := range map[string]func(*Config){
		"no authority":             func(c *Config) { c.CAFile = "" },
		"no certificate of ours":   func(c *Config) { c.CertFile, c.KeyFile = "", "" },
		"an authority that is not": func(c *Config) { c.CAFile = c.KeyFile },
	} {
		other, l := cfg, &logged{}
		change(&other)
		c, err := Open(t.Context(), other, l.logger())
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return strings.Contains(l.String(), "serving without it") })
		if err := c.Set(t.Context(), "k", []byte("v"), time.Minute); !errors.Is(err, ErrNotConnected) {
			t.Errorf("%s: Set: %v", name, err)
		}
		_ = c.Close() // has no errors
	}
	cfg.CAFile, cfg.SkipVerify = "", true
	works(t, open(t, cfg))
}

func freePort(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it is looked for, and no more
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	servers, err := cache.StartCluster(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Kill)
	for name, addresses := range map[string][]string{"AllKnown": servers.Addresses(), "OneKnown": servers.Addresses()[:1]} {
		t.Run(name, func(t *testing.T) {
			cachedtest.Run(t, func(t *testing.T) cached.Cache {
				c := open(t, Config{Addresses: addresses})
				works(t, c)
				return c
			})
		})
	}
	for _, s := range servers {
		if n, err := s.Do(ctx, "DBSIZE"); err != nil || n == "0" {
			t.Errorf("a member has %s keys, %v: they are not spread", n, err)
		}
	}
}

// watched starts a primary, a replica and their sentinels.
func watched(t *testing.T) (servers, sentinels cache.Servers, cfg Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	servers, sentinels, err := cache.StartSentinel(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Kill)
	t.Cleanup(sentinels.Kill)
	return servers, sentinels, Config{Addresses: sentinels.Addresses(), Master: cache.MasterName, Password: "secret", SentinelPassword: "watchers"}
}

// The primary dies, the sentinels choose its replica, and the cache works again by itself.
func TestSentinel(t *testing.T) {
	servers, _, cfg := watched(t)
	cachedtest.Run(t, func(t *testing.T) cached.Cache {
		c := open(t, cfg)
		works(t, c)
		return c
	})
	c := open(t, cfg)
	works(t, c)
	servers[0].Kill()
	works(t, c)
	if role, err := servers[1].Do(t.Context(), "INFO", "replication"); err != nil || role == "0" {
		t.Errorf("the replica: %s, %v", role, err)
	}
}

// A primary that is made a replica while it runs is left for the new one.
func TestDemoted(t *testing.T) {
	servers, sentinels, cfg := watched(t)
	// The first sentinel is not there: the next is asked.
	sentinels[0].Kill()
	c := open(t, cfg)
	works(t, c)
	waitFor(t, func() bool { // it may have learnt of the replica only just now
		_, err := sentinels[1].Do(t.Context(), "SENTINEL", "FAILOVER", cache.MasterName)
		return err == nil || strings.Contains(err.Error(), "INPROG")
	})
	waitFor(t, func() bool {
		answer, err := servers[0].Do(t.Context(), "SET", "probe", "v")
		return err != nil && strings.Contains(err.Error(), "READONLY") || strings.Contains(answer, "READONLY")
	})
	works(t, c)
}

// A host is gone, with the primary and the sentinel that answered last: nothing there refuses a connection. The others are asked.
func TestSentinelHangs(t *testing.T) {
	servers, sentinels, cfg := watched(t)
	c := open(t, cfg)
	works(t, c)
	if err := errors.Join(sentinels[0].Freeze(), servers[0].Freeze()); err != nil {
		t.Fatal(err)
	}
	works(t, c)
}

// Neither the start nor any call waits for a server that is not there, and when it comes it is used.
func TestServerComesLater(t *testing.T) {
	r := server(t)
	r.Kill()
	var l logged
	c, err := Open(t.Context(), Config{Addresses: []string{r.Address}, Password: "canary"}, l.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // has no errors
	if _, err := c.Get(t.Context(), []string{"a"}); !errors.Is(err, ErrNotConnected) {
		t.Errorf("before the first connection: %v", err)
	}
	waitFor(t, func() bool { return strings.Contains(l.String(), "serving without it") })
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Do(t.Context(), "CONFIG", "SET", "requirepass", "canary"); err != nil {
		t.Fatal(err)
	}
	works(t, c)
	if text := l.String(); strings.Count(text, "WARN") != 1 || strings.Contains(text, "canary") {
		t.Errorf("want one warning, and no password: %s", text)
	}
	r.Kill()
	if err := c.Set(t.Context(), "k", []byte("v"), time.Minute); err == nil {
		t.Error("a server that is gone takes values")
	}
	r.Password = ""
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Do(t.Context(), "CONFIG", "SET", "requirepass", "canary"); err != nil {
		t.Fatal(err)
	}
	works(t, c)
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}

// A server that hangs keeps nobody longer than the caller's patience lasts, nor Close; as soon as it goes on it is used again.
func TestFrozen(t *testing.T) {
	r := server(t)
	c := open(t, Config{Addresses: []string{r.Address}})
	works(t, c)
	if err := r.Freeze(); err != nil {
		t.Fatal(err)
	}
	var busy, late int
	for range 2 * mostCalls {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Microsecond)
		_, err := c.Get(ctx, []string{"a", "b"})
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			late++
		case err != nil:
			busy++
		default:
			t.Fatal("a server that is frozen answers")
		}
	}
	if late == 0 {
		t.Errorf("%d calls were too late, %d failed otherwise", late, busy)
	}
	other := open(t, Config{Addresses: []string{r.Address}})
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Thaw(); err != nil {
		t.Fatal(err)
	}
	works(t, c)
}

// What others put under our key is no value, and no error: the next Set is over it.
func TestWrongType(t *testing.T) {
	r := server(t)
	c := open(t, Config{Addresses: []string{r.Address}})
	works(t, c)
	for _, command := range [][]string{{"DEL", "zot:hf:works"}, {"RPUSH", "zot:hf:works", "x"}, {"SET", "zot:hf:count", "many"}, {"SET", "zot:hf:endless", "41"}} {
		if _, err := r.Do(t.Context(), command...); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Get(t.Context(), []string{"works", "other"})
	if err != nil || got[0] != nil || got[1] != nil {
		t.Errorf("Get: %q, %v", got, err)
	}
	works(t, c)
	if n, err := c.Add(t.Context(), "count", 1, time.Minute); err == nil {
		t.Errorf("a counter that is a text: %d", n)
	}
	if n, err := c.Add(t.Context(), "endless", 1, time.Minute); err != nil || n != 42 {
		t.Errorf("a counter without an end: %d, %v", n, err)
	}
	if ttl, err := r.Do(t.Context(), "TTL", "zot:hf:endless"); err != nil || ttl == "-1" {
		t.Errorf("it has no end still: %s, %v", ttl, err)
	}
}

// A replica of Redis that takes no writes is an error of the call, not of the process.
func TestReadOnly(t *testing.T) {
	r := server(t, "replicaof 127.0.0.1 1", "replica-serve-stale-data yes")
	c := open(t, Config{Addresses: []string{r.Address}})
	waitFor(t, func() bool { _, err := c.Get(t.Context(), []string{"a"}); return err == nil })
	if err := c.Set(t.Context(), "a", []byte("v"), time.Minute); err == nil || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("Set: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no address": {}, "a database of a cluster": {Addresses: []string{"a:1", "b:1"}, DB: 1}, "a key without a certificate": {Addresses: []string{"a:1"}, KeyFile: "k"},
	} {
		if err := cfg.Validate(); err == nil {
			t.Errorf("%s is allowed", name)
		}
	}
	cfg := Config{Addresses: []string{"a:1"}, Password: "canary-1", SentinelPassword: "canary-2"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, cfg) + fmt.Sprintf(verb, []any{&cfg}) + fmt.Sprintf(verb, struct{ C Config }{cfg}); strings.Contains(text, "canary") {
			t.Errorf("%s shows %s", verb, text)
		}
	}
	if got := []string{"redis a:1"}; !slices.Contains(got, fmt.Sprint(cfg)) {
		t.Errorf("shown as %s", cfg)
	}
}
