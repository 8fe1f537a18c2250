package authn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/oci"
)

// people are names and passwords. A check takes a second, as a slow hash does.
type people struct {
	known  map[string]string
	checks atomic.Int64
	at     atomic.Int64 // at once
	most   atomic.Int64
	broken atomic.Bool
	right  sync.Map
}

func (p *people) Known(name, password string) (access.Identity, bool) {
	_, ok := p.right.Load(name + ":" + password)
	return access.Identity{Name: name, Way: access.Htpasswd}, ok
}

func (p *people) Check(_ context.Context, name, password string) (access.Identity, error) {
	p.checks.Add(1)
	n := p.at.Add(1)
	defer p.at.Add(-1)
	for m := p.most.Load(); n > m && !p.most.CompareAndSwap(m, n); m = p.most.Load() {
	}
	time.Sleep(time.Second)
	want, known := p.known[name]
	switch {
	case p.broken.Load():
		return access.Identity{}, errors.New("out of reach")
	case !known:
		return access.Identity{}, ErrOther
	case want != password:
		return access.Identity{}, ErrWrong
	}
	p.right.Store(name+":"+password, true)
	return access.Identity{Name: name, Way: access.Htpasswd}, nil
}

// tokens know three: good, expired and broken.
type tokens struct{}

func (tokens) Verify(_ context.Context, token string) (access.Identity, error) {
	switch token {
	case "good":
		return access.Identity{Name: "carl", Way: access.Token}, nil
	case "expired":
		return access.Identity{}, ErrExpired
	case "broken":
		return access.Identity{}, errors.New("the store is out of reach")
	case "forged":
		return access.Identity{}, fmt.Errorf("%w: its signature", ErrWrong)
	}
	return access.Identity{}, ErrOther
}

type house struct {
	*Handler
	people *people
}

func newHouse(edit func(*Config)) *house {
	h := &house{people: &people{known: map[string]string{"ann": "a", "bob": "b"}}}
	cfg := Config{
		Passwords: []Passwords{h.people}, Bearers: []Bearers{tokens{}}, Failures: NewFailures(nil),
		Client: func(r *http.Request) Client {
			a, _ := netip.ParseAddrPort(r.RemoteAddr)
			return Client{Addr: a.Addr()}
		},
		Challenge: func(_ *http.Request, why string) string { return Bearer("https://r/auth", "s", "", why) },
		Refuse: func(w http.ResponseWriter, _ *http.Request, status int, e *oci.Error) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(e.Message))
		},
	}
	if edit != nil {
		edit(&cfg)
	}
	h.Handler = New(cfg, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := access.From(r.Context()).Identity
		_, _ = w.Write([]byte("served " + id.Name))
	}))
	return h
}

func (h *house) ask(from string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/v2/", http.NoBody)
	r.RemoteAddr = from + ":1"
	r.Header["Authorization"] = header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func basic(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }

// TestCredentials: B62, B64. Whatever is wrong, the answer is the same, and says nothing of what was wrong.
func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		header []string
		status int
		body   string
	}{
		{nil, 200, "served "},
		{[]string{basic("ann:a")}, 200, "served ann"},
		{[]string{"basic " + basic("ann:a")[6:]}, 200, "served ann"},
		{[]string{"Bearer good"}, 200, "served carl"},
		{[]string{"bearer  good"}, 200, "served carl"},
		{[]string{basic("ann:b")}, 401, "bad credentials"},
		{[]string{basic("zoe:a")}, 401, "bad credentials"},
		{[]string{"Basic !!!"}, 401, "bad credentials"},
		{[]string{basic("ann")}, 401, "bad credentials"},
		{[]string{basic(":a")}, 401, "bad credentials"},
		{[]string{basic("ann:")}, 401, "bad credentials"},
		{[]string{basic("a\x00n:a")}, 401, "bad credentials"},
		{[]string{basic("ann:a\x00")}, 401, "bad credentials"},
		{[]string{basic("an\xffn:a")}, 401, "bad credentials"},
		{[]string{basic("ann:" + strings.Repeat("a", 64<<10))}, 401, "bad credentials"},
		{[]string{basic(strings.Repeat("a", 300) + ":a")}, 401, "bad credentials"},
		{[]string{""}, 401, "bad credentials"},
		{[]string{"Basic"}, 401, "bad credentials"},
		{[]string{"Digest username=ann"}, 401, "bad credentials"},
		{[]string{"Bearer"}, 401, "bad credentials"},
		{[]string{"Bearer nonsense"}, 401, "bad credentials"},
		{[]string{"Bearer forged"}, 401, "bad credentials"},
		{[]string{"Bearer expired"}, 401, "bad credentials"},
		{[]string{"Bearer " + strings.Repeat("x", 1<<20)}, 401, "bad credentials"},
		{[]string{basic("ann:a"), basic("bob:b")}, 401, "bad credentials"},
		{[]string{"Bearer broken"}, 503, "cannot be checked"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newHouse(nil).ask("192.0.2.1", c.header...)
			challenge := w.Header().Get("WWW-Authenticate")
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) || (challenge == `Bearer realm="https://r/auth",service="s",error="invalid_token"`) != (w.Code == 401) {
				t.Errorf("%.60q: %d %s %q, want %d %s", c.header, w.Code, w.Body, challenge, c.status, c.body)
			}
		})
	}
}

// holder is what every certificate names.
type holder struct{}

func (holder) Identify(*x509.Certificate) (access.Identity, error) {
	return access.Identity{Name: "eva", Way: access.Certificate}, nil
}

// TestCertificateOfABrowser: a page of another site can have a browser send a form, with the certificate of who looks at the page: it is nobody's.
func TestCertificateOfABrowser(t *testing.T) {
	origins := http.NewCrossOriginProtection()
	if err := origins.AddTrustedOrigin("https://ui.example"); err != nil {
		t.Fatal(err)
	}
	h := newHouse(func(c *Config) {
		c.Certificates, c.Foreign = holder{}, func(r *http.Request) bool { return origins.Check(r) != nil }
	})
	for _, c := range []struct {
		method, origin, site, body string
	}{
		{"GET", "", "", "served eva"},
		{"POST", "", "", "served eva"},
		{"POST", "https://registry.example", "same-origin", "served eva"},
		{"POST", "https://ui.example", "cross-site", "served eva"},
		{"POST", "https://evil.example", "cross-site", "served "},
		{"POST", "https://evil.example", "", "served "},
		{"GET", "https://evil.example", "cross-site", "served eva"},
	} {
		r := httptest.NewRequest(c.method, "https://registry.example/v2/a/blobs/uploads/", http.NoBody)
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}, PeerCertificates: []*x509.Certificate{{}}}
		for name, value := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Body.String() != c.body {
			t.Errorf("%+v: %s", c, w.Body)
		}
	}
}

// TestOpen: where no authentication is configured, credentials are not looked at: clients send them to whom they know them for.
func TestOpen(t *testing.T) {
	h := newHouse(func(c *Config) { c.Open, c.Passwords, c.Bearers = true, nil, nil })
	if w := h.ask("192.0.2.1", basic("ann:wrong")); w.Code != 200 || w.Body.String() != "served " {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestBruteForce: A56. Ten failures of a name from a hundred addresses, thirty of an address for a hundred names; then 429, for a name that is known or
// not, right password or wrong. Others, and whoever was in already, go on. After a while one attempt more.
func TestBruteForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		count := func(n int, from func(int) string, header func(int) string) map[int]int {
			var mu sync.Mutex
			var all sync.WaitGroup
			codes := map[int]int{}
			for i := range n {
				all.Go(func() {
					w := h.ask(from(i), header(i))
					mu.Lock()
					defer mu.Unlock()
					codes[w.Code]++
					if (w.Code == 429) != (w.Header().Get("Retry-After") != "") {
						t.Errorf("%d with Retry-After %q", w.Code, w.Header().Get("Retry-After"))
					}
				})
			}
			all.Wait()
			return codes
		}
		if w := h.ask("198.51.100.1", basic("bob:b")); w.Code != 200 {
			t.Fatal(w.Code)
		}
		many := func(i int) string { return fmt.Sprintf("192.0.2.%d", i%100) }
		for _, name := range []string{"bob", "nobody"} {
			codes := count(1000, many, func(i int) string { return basic(fmt.Sprintf("%s:%d", name, i)) })
			if codes[401] != 10 || codes[429] != 990 {
				t.Errorf("%s from a hundred addresses: %v, want 10 times 401 and 990 times 429", name, codes)
			}
		}
		one := func(int) string { return "203.0.113.5" }
		if codes := count(1000, one, func(i int) string { return basic(fmt.Sprintf("n%d:x", i)) }); codes[401] != 30 || codes[429] != 970 {
			t.Errorf("a thousand names from one address: %v, want 30 times 401", codes)
		}
		if w := h.ask("203.0.113.5", basic("ann:a")); w.Code != 429 {
			t.Errorf("a right password from the address: %d, want 429", w.Code)
		}
		if w := h.ask("203.0.113.5", basic("bob:b")); w.Code != 200 {
			t.Errorf("bob, who was in already, is refused: %d", w.Code)
		}
		if w := h.ask("203.0.113.6", basic("ann:a")); w.Code != 200 {
			t.Errorf("ann from elsewhere: %d", w.Code)
		}
		time.Sleep(7 * time.Second)
		if codes := count(100, many, func(i int) string { return basic(fmt.Sprintf("nobody:x%d", i)) }); codes[401] != 1 {
			t.Errorf("after 7 s: %v, want one more attempt", codes)
		}
	})
}

// TestBruteForceByLeaving: who leaves before he is told has failed all the same, whatever time the refusal takes.
func TestBruteForceByLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(func(c *Config) { c.Passwords = []Passwords{slow{}} })
		var all sync.WaitGroup
		for i := range failuresPerName {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _ = h.CheckPassword(ctx, &access.Request{Client: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}, "ann", "b")
			})
		}
		all.Wait()
		_, err := h.CheckPassword(t.Context(), &access.Request{Client: netip.MustParseAddr("198.51.100.1")}, "ann", "c")
		if _, limited := Limited(err); !limited {
			t.Errorf("after %d attempts that were broken off: %v, want that there were too many", failuresPerName, err)
		}
	})
}

// slow knows nobody, which it says after two seconds.
type slow struct{}

func (slow) Check(ctx context.Context, _, _ string) (access.Identity, error) {
	select {
	case <-time.After(2 * time.Second):
		return access.Identity{}, ErrWrong
	case <-ctx.Done():
		return access.Identity{}, ctx.Err()
	}
}

// TestWaysTellNoNames: a wrong password takes as long for a name of the first way as for one that nobody knows, although the second way is asked for that alone (A33).
func TestWaysTellNoNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(func(c *Config) { c.Passwords = append(c.Passwords, stranger{}) })
		took := map[string]time.Duration{}
		for _, name := range []string{"nobody", "ann", "zoe", "bob"} {
			began := time.Now()
			if w := h.ask("192.0.2.1", basic(name+":wrong")); w.Code != http.StatusUnauthorized {
				t.Fatal(w.Code)
			}
			took[name] = time.Since(began)
		}
		for name, d := range took {
			if d != 3*time.Second {
				t.Errorf("%s takes %s, want what both ways take", name, d)
			}
		}
		began := time.Now()
		if w := h.ask("192.0.2.1", basic("ann:a")); w.Code != http.StatusOK || time.Since(began) != time.Second {
			t.Errorf("the right password: %d after %s", w.Code, time.Since(began))
		}
	})
}

// stranger knows nobody, for which it needs two seconds.
type stranger struct{}

func (stranger) Check(context.Context, string, string) (access.Identity, error) {
	time.Sleep(2 * time.Second)
	return access.Identity{}, ErrOther
}

// TestFailuresAreFewBytes: names that nobody can have are not remembered, whoever asks, and an address that has failed too often adds none: it could fill the
// memory, and push out the name that others guess at.
func TestFailuresAreFewBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		from := &access.Request{Client: netip.MustParseAddr("192.0.2.1")}
		for _, c := range [][2]string{{strings.Repeat("a", maxNameBytes+1), "x"}, {"", "x"}, {"a\n", "x"}, {"a\xff", "x"}, {"a", ""}, {"a", strings.Repeat("x", maxPasswordBytes+1)}, {"a", "\x00"}} {
			if _, err := h.CheckPassword(t.Context(), from, c[0], c[1]); !errors.Is(err, ErrWrong) {
				t.Errorf("%.20q %.20q: %v", c[0], c[1], err)
			}
		}
		if n := h.cfg.Failures.seen.Len(); n != 0 || h.people.checks.Load() != 0 {
			t.Errorf("%d are remembered, %d were asked for", n, h.people.checks.Load())
		}
		for i := range 10 * failuresPerAddress {
			_, _ = h.CheckPassword(t.Context(), from, fmt.Sprintf("n%d", i), "x")
		}
		if n := h.cfg.Failures.seen.Len(); n > 2*failuresPerAddress { // an attempt more every two seconds
			t.Errorf("an address that may fail %d times a minute has left %d names", failuresPerAddress, n)
		}
	})
}

// TestManyAtOnce: a client's first fifty requests, with the right password, wait for each other and are all served; and no more are checked at once than may fail.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(func(c *Config) { c.Failures = NewFailures(func() int { return 3 }) })
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if w := h.ask("192.0.2.1", basic("ann:a")); w.Code != 200 {
					t.Error(w.Code, w.Body)
				}
			})
		}
		all.Wait()
		if most := h.people.most.Load(); most > 4 {
			t.Errorf("%d were checked at once, want 4: a third of 10", most)
		}
	})
}

// TestGoodTokensAreNotCounted: any number of good tokens, and of expired ones, comes from one address.
func TestGoodTokensAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		for range 100 {
			if w := h.ask("192.0.2.1", "Bearer expired"); w.Code != 401 {
				t.Fatal(w.Code)
			}
			if w := h.ask("192.0.2.1", "Bearer good"); w.Code != 200 {
				t.Fatal(w.Code)
			}
		}
		for range 30 {
			h.ask("192.0.2.1", "Bearer forged")
		}
		if w := h.ask("192.0.2.1", "Bearer forged"); w.Code != 429 {
			t.Errorf("the thirty-first forged token: %d, want 429", w.Code)
		}
		if w := h.ask("192.0.2.1", "Bearer good"); w.Code != 200 {
			t.Errorf("a good one after them: %d", w.Code)
		}
	})
}

// keys know two of them. Each look costs a read.
type keys struct{ reads atomic.Int64 }

func (k *keys) Check(_ context.Context, name, password string) (access.Identity, error) {
	k.reads.Add(1)
	if name == "ann" && (password == "key-one" || password == "key-two") {
		return access.Identity{Name: name, Way: access.APIKey}, nil
	}
	return access.Identity{}, ErrWrong
}

func (k *keys) Verify(ctx context.Context, token string) (access.Identity, error) {
	if !strings.HasPrefix(token, "key-") {
		return access.Identity{}, ErrOther
	}
	return k.Check(ctx, "ann", token)
}

// TestMadeUpKeys: an address that shows one made-up key after the other costs the store as many reads as it may fail, and no more; a key that is known goes on
// from there, and keys elsewhere. Failures by keys are not those of the name.
func TestMadeUpKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := &keys{}
		h := newHouse(func(c *Config) {
			c.Keys, c.Bearers = known, append(c.Bearers, known)
			c.IsKey = func(password string) bool { return strings.HasPrefix(password, "key-") }
			c.KnownKey = func(password string) bool { return password == "key-one" }
		})
		for i := range 200 {
			header := basic(fmt.Sprintf("ann:key-%d", i))
			if i%2 == 1 {
				header = fmt.Sprintf("Bearer key-%d", i)
			}
			if w := h.ask("192.0.2.1", header); (w.Code == 401) != (i < 30) || (w.Code == 429) != (i >= 30) {
				t.Fatalf("key %d: %d", i, w.Code)
			}
		}
		if n := known.reads.Load(); n != 30 {
			t.Errorf("%d reads for 200 made-up keys, want 30", n)
		}
		for _, c := range []struct {
			from, header string
			status       int
		}{
			{"192.0.2.1", basic("ann:key-one"), 200}, {"192.0.2.1", "Bearer key-one", 200}, {"192.0.2.1", basic("ann:key-two"), 429}, {"192.0.2.2", basic("ann:key-two"), 200}, {"192.0.2.2", basic("ann:a"), 200},
		} {
			if w := h.ask(c.from, c.header); w.Code != c.status {
				t.Errorf("%s from %s: %d, want %d", c.header, c.from, w.Code, c.status)
			}
		}
	})
}

// TestBackendOut: a backend that cannot be asked says neither yes nor no, and is nobody's failure.
func TestBackendOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		h.people.broken.Store(true)
		for range 50 {
			if w := h.ask("192.0.2.1", basic("ann:a")); w.Code != 503 {
				t.Fatal(w.Code)
			}
		}
		h.people.broken.Store(false)
		if w := h.ask("192.0.2.1", basic("ann:a")); w.Code != 200 {
			t.Error(w.Code)
		}
	})
}

func TestFailDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(func(c *Config) { c.FailDelay = 5 * time.Second })
		began := time.Now()
		h.ask("192.0.2.1", basic("ann:b"))
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("a refusal took %s, want the check's second and 5 s", took)
		}
	})
}

func TestAddresses(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::", "2001:db8:1:2:ffff::": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := addressOf(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}

func TestChallenges(t *testing.T) {
	if got, want := Basic(`a"b\c`+"\r\nX: y"), `Basic realm="a\"b\\cX: y", charset="UTF-8"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := Bearer("https://r/t", "s", "repository:a:pull", ""), `Bearer realm="https://r/t",service="s",scope="repository:a:pull"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzAuthorization(f *testing.F) {
	for _, s := range []string{"", "Basic", basic("ann:a"), "Bearer good", "Basic " + strings.Repeat("A", 100), "basic \x00"} {
		f.Add(s)
	}
	h := New(newHouse(nil).cfg, nil)
	h.cfg.Passwords = nil
	f.Fuzz(func(t *testing.T, header string) {
		h.cfg.Failures = NewFailures(nil)
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header["Authorization"] = []string{header}
		id, _, err := h.identify(r, &access.Request{})
		if err == nil && id.Name != "carl" {
			t.Errorf("%q is %+v", header, id)
		}
	})
}
