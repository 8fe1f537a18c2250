package edge

import (
	"hash/maphash"
	"net/netip"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// MaxURL is the longest target of a request, in bytes.
const MaxURL = 8 << 10

// Rates are limits of requests a second, as zot's http.ratelimit has them: of one client, for one path. 0, or no entry: no limit.
type Rates struct {
	All     int
	Methods map[string]int // by method
}

// Any reports whether anything is limited.
func (r Rates) Any() bool { return r.All > 0 || len(r.Methods) > 0 }

// maxBuckets is how many clients and paths are remembered: those that were not seen for longest are forgotten, and begin anew.
const maxBuckets = 1 << 16

// Limiter holds clients to rates: this replica's requests, and, where replicas count together, those of all. Safe for concurrent use.
type Limiter struct {
	all     *buckets
	methods map[string]*buckets
}

// NewLimiter returns a limiter of which nothing was asked yet. together says with whom it counts, and is asked for each request; nil, or a nil *Together: with nobody.
func NewLimiter(r Rates, together func() *Together) *Limiter {
	l := &Limiter{methods: map[string]*buckets{}}
	if r.All > 0 {
		l.all = newBuckets("", r.All, together)
	}
	for method, perSecond := range r.Methods {
		if perSecond > 0 {
			l.methods[method] = newBuckets(method, perSecond, together)
		}
	}
	return l
}

// Allow reports whether a client's request may be served now. A second later another one may.
func (l *Limiter) Allow(client netip.Addr, method, path string) bool {
	return l.all.allow(client, path) && l.methods[method].allow(client, path)
}

// buckets are of one limit; nil is none.
type buckets struct {
	method    string // "": all
	perSecond int
	together  func() *Together
	seed      maphash.Seed
	mu        sync.Mutex // of finding a bucket and making it
	known     *lru.Cache[bucket, *visits]
}

// bucket is a client, and the hash of a path.
type bucket struct {
	client netip.Addr
	path   uint64
}

// visits are a client's to a path.
type visits struct {
	here       *rate.Limiter
	everywhere shared
}

func newBuckets(method string, perSecond int, together func() *Together) *buckets {
	known, _ := lru.New[bucket, *visits](maxBuckets) // fails for no room only
	return &buckets{method: method, perSecond: perSecond, together: together, seed: maphash.MakeSeed(), known: known}
}

func (b *buckets) allow(client netip.Addr, path string) bool {
	if b == nil {
		return true
	}
	client = Group(client)
	at := bucket{client, maphash.String(b.seed, path)}
	b.mu.Lock()
	one, found := b.known.Get(at)
	if !found {
		one = &visits{here: rate.NewLimiter(rate.Limit(b.perSecond), b.perSecond)}
		b.known.Add(at, one)
	}
	b.mu.Unlock()
	if !one.here.Allow() {
		return false
	}
	if b.together == nil {
		return true
	}
	t := b.together()
	return t == nil || one.everywhere.allow(t, b.perSecond, func() string { return b.method + " " + client.String() + " " + path })
}

// Crowd counts the requests of each client that are being served. The zero value is ready to use, and safe for concurrent use.
type Crowd struct {
	mu      sync.Mutex
	serving map[netip.Addr]int // never 0: as large as there are requests
}

// Enter begins a request of a client, unless most of them are being served, and returns what ends it. ok is false when it must not be served. 0: as many as like.
func (c *Crowd) Enter(client netip.Addr, most int) (leave func(), ok bool) {
	if most <= 0 {
		return func() {}, true
	}
	client = Group(client)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving == nil {
		c.serving = map[netip.Addr]int{}
	}
	if c.serving[client] >= most {
		return nil, false
	}
	c.serving[client]++
	return func() { c.leave(client) }, true
}

func (c *Crowd) leave(client netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving[client]--; c.serving[client] <= 0 {
		delete(c.serving, client)
	}
}
