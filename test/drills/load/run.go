package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Options say who does what where.
type Options struct {
	Seed    uint64
	Clients int                     // 0: 8
	Prefix  string                  // of the repositories; empty: "load"
	Target  func(*rand.Rand) string // base URL for the next request
	Think   time.Duration           // longest pause between two steps; 0: 20 ms
	Patient int                     // how often a request with an unknown outcome is made again; 0: 4
	Large   int64                   // bytes of the largest ordinary layer; 0: 6 MiB
	Without []string                // steps to leave out, by the names in steps.go
	Churn   bool                    // images come and go, for a registry that collects: the steps are those of churn.go
}

// Load is clients at work.
type Load struct {
	History *History

	stop chan struct{}
	done sync.WaitGroup
	mu   sync.Mutex
	work Work
}

// Work counts what the clients set out to do. A flow is all the requests of one push of a blob or a manifest.
type Work struct {
	Flows   int `json:"flows"`    // begun
	Resumed int `json:"resumed"`  // those that came to their end after a request with an unknown outcome
	GivenUp int `json:"given_up"` // those that did not come to their end
}

// Run starts the clients. Stop ends them.
func Run(ctx context.Context, opt Options) *Load {
	opt = defaults(opt)
	l := &Load{History: NewHistory(opt.Seed), stop: make(chan struct{})}
	for id := 1; id <= opt.Clients; id++ {
		w := newWorker(l, id, opt)
		l.done.Go(func() { w.run(ctx) })
	}
	return l
}

func defaults(opt Options) Options {
	if opt.Clients == 0 {
		opt.Clients = 8
	}
	if opt.Think == 0 {
		opt.Think = 20 * time.Millisecond
	}
	if opt.Patient == 0 {
		opt.Patient = 4
	}
	if opt.Large == 0 {
		opt.Large = 6 << 20
	}
	if opt.Prefix == "" {
		opt.Prefix = "load"
	}
	return opt
}

// Stop lets each client finish its step and returns when all have.
func (l *Load) Stop() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.done.Wait()
}

// Work returns what was set out to do until now.
func (l *Load) Work() Work {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.work
}

// worker is one client. It is its own only user.
type worker struct {
	id      int
	n       int
	opt     Options
	load    *Load
	history *History
	http    *http.Client
	random  *rand.Rand
	repos   []string
	steps   []step
	total   int // of the steps' weights
	serial  int // of things that it made

	images map[string][]image // by repository: acknowledged, not deleted
	tags   map[string][]string
	layers []layer            // acknowledged
	gone   map[string][]image // by repository: what the client has deleted, untagged or replaced lately
}

type image struct {
	digest, mediaType string
	body              []byte
	keep              bool // its tag is shared: never deleted
	blobs             []content
	children          []image
	subject           string
}

// refs are the digests of what the image names.
func (i image) refs() (all []string) {
	for _, b := range i.blobs {
		all = append(all, string(b.digest))
	}
	for _, c := range i.children {
		all = append(all, c.digest)
	}
	return all
}

type layer struct {
	repo string
	content
}

func newWorker(l *Load, id int, opt Options) *worker {
	w := &worker{
		id: id, opt: opt, load: l, history: l.History, http: newHTTP(),
		random: rand.New(rand.NewPCG(opt.Seed, uint64(id))),
		// Names of which one begins with another, and that differ in what keys map to each other.
		repos:  []string{opt.Prefix + "/m", opt.Prefix + "/m-v", opt.Prefix + "/m.b"},
		images: make(map[string][]image), tags: make(map[string][]string), gone: make(map[string][]image),
	}
	w.chooseSteps()
	return w
}

func (w *worker) run(ctx context.Context) {
	defer w.http.CloseIdleConnections()
	for {
		select {
		case <-w.load.stop:
			return
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(w.random.Int64N(int64(w.opt.Think)))):
		}
		w.next()(w, ctx)
	}
}

// pause waits before a request is made again.
func (w *worker) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(100*time.Millisecond + time.Duration(w.random.Int64N(int64(300*time.Millisecond)))):
	}
}

func (w *worker) target() string { return w.opt.Target(w.random) }

func (w *worker) repo() string { return w.repos[w.random.IntN(len(w.repos))] }

// name makes a name that nobody else makes.
func (w *worker) name(what string) string {
	w.serial++
	return fmt.Sprintf("%s %d of client %d, seed %d, %s", what, w.serial, w.id, w.opt.Seed, w.opt.Prefix)
}

func (w *worker) count(f func(*Work)) {
	w.load.mu.Lock()
	defer w.load.mu.Unlock()
	f(&w.load.work)
}

// Whose returns the number of the client that alone writes a tag; 0 for a shared one.
func Whose(tag string) int {
	var id int
	if _, err := fmt.Sscanf(tag, "c%d-", &id); err != nil {
		return 0
	}
	return id
}
