package work

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"holdfast/test/history/call"
)

// Options say who does what where.
type Options struct {
	Seed    uint64
	Clients int           // 0: 8
	Prefix  string        // of all repositories; no other client uses it
	Targets []Target      // each step goes to one of them
	Think   time.Duration // longest pause between two flows; 0: 10 ms, below 0: none
	Tags    bool          // nothing but pushes by tag and reads of tags: for registries that do little else right
}

// Work is clients at work.
type Work struct {
	Log *call.Log

	opt    Options
	world  *world
	stop   chan struct{}
	done   sync.WaitGroup
	ending sync.Once
}

// Run starts the clients. They work until Stop, or until ctx ends.
func Run(ctx context.Context, opt Options) *Work {
	if opt.Clients == 0 {
		opt.Clients = 8
	}
	if opt.Think == 0 {
		opt.Think = 10 * time.Millisecond
	}
	w := &Work{Log: call.NewLog(), opt: opt, world: newWorld(opt), stop: make(chan struct{})}
	for id := 1; id <= opt.Clients; id++ {
		c := &worker{client: newClient(w.Log, id, opt.Seed*1000), world: w.world, targets: opt.Targets}
		w.done.Go(func() { c.run(ctx, w.stop, opt.Think) })
	}
	return w
}

// Stop lets each client finish its flow and returns when all have. Safe twice.
func (w *Work) Stop() {
	w.ending.Do(func() { close(w.stop) })
	w.done.Wait()
}

// world is what the clients share: names, contents, and what they leave for each other.
type world struct {
	opt     Options
	busy    []string // repositories of ever new images
	racy    []string // repositories of manifests and blobs that are made and deleted again and again
	late    []string // repositories that come up now and then
	tags    []string
	config  *blob
	layers  []*blob
	loose   []*blob          // of the racy repositories
	common  []*image         // made of them
	index   *image           // of two of those
	bases   []*image         // subjects
	fillers []*blob          // layers that make a manifest long
	recent  map[string]*list // images by repository, for others to tag, read and delete
	duels   chan *duel

	mu        sync.Mutex
	abandoned []upload
	filled    map[thing]bool
}

// list keeps the newest images of a repository.
type list struct {
	mu     sync.Mutex
	images []*image
}

const kept = 24

func (l *list) add(i *image) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.images = append(l.images, i)
	if len(l.images) > kept {
		l.images = slices.Delete(l.images, 0, 1)
	}
}

func (l *list) pick(r *rand.Rand) *image {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.images) == 0 {
		return nil
	}
	return l.images[r.IntN(len(l.images))]
}

// take returns the oldest image once there are many.
func (l *list) take() *image {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.images) < kept {
		return nil
	}
	i := l.images[0]
	l.images = slices.Delete(l.images, 0, 1)
	return i
}

func newWorld(opt Options) *world {
	name := func(what string, n int) string {
		return fmt.Sprintf("%s %d of %s, seed %d", what, n, opt.Prefix, opt.Seed)
	}
	w := &world{
		opt: opt,
		// Names of which one begins with another, and that differ in what keys map to each other.
		busy: []string{opt.Prefix + "/m", opt.Prefix + "/m-v"},
		racy: []string{opt.Prefix + "/m/a", opt.Prefix + "/m.b"},
		tags: []string{"0.1.2", "0.1.20", "0.1.2-rc1", "a", "a.b", "a-b", "a_b", "A"},

		config: newBlob(name("config", 0), 200),
		recent: make(map[string]*list),
		duels:  make(chan *duel),
		filled: make(map[thing]bool),
	}
	for n := range 12 {
		w.late = append(w.late, fmt.Sprintf("%s/mz%d", opt.Prefix, n))
	}
	for n := range 16 {
		w.layers = append(w.layers, newBlob(name("layer", n), 200+n*n*150))
	}
	for n := range 40 {
		w.fillers = append(w.fillers, newBlob(name("filler", n), 150))
	}
	for n := range 5 {
		w.loose = append(w.loose, newBlob(name("loose layer", n), 300+n))
	}
	for n := range 4 {
		w.common = append(w.common, newImage(parts{name: name("common image", n), config: w.config, layers: []*blob{w.loose[n], w.loose[n+1]}}))
		w.bases = append(w.bases, newImage(parts{name: name("subject", n), config: w.config, layers: w.layers[n : n+1]}))
	}
	w.index = newIndex(name("common index", 0), w.common[0], w.common[1])
	for _, repo := range slices.Concat(w.busy, w.racy) {
		w.recent[repo] = &list{}
	}
	return w
}

// worker is one client at work.
type worker struct {
	*client
	world   *world
	targets []Target
	made    int
}

func (w *worker) run(ctx context.Context, stop <-chan struct{}, think time.Duration) {
	defer w.http.CloseIdleConnections()
	flows := allFlows()
	if w.world.opt.Tags {
		flows = tagFlows()
	}
	total := 0
	for _, f := range flows {
		total += f.weight
	}
	for {
		pause := time.Duration(0)
		if think > 0 {
			pause = time.Duration(w.random.Int64N(int64(think)))
		}
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if w.accept(ctx) {
			continue
		}
		n := w.random.IntN(total)
		for _, f := range flows {
			if n -= f.weight; n < 0 {
				f.do(w, ctx)
				break
			}
		}
	}
}

// at chooses where the next step goes.
func (w *worker) at() Target { return pick(w.client, w.targets) }

// name makes a name that nobody else makes.
func (w *worker) name(what string) string {
	w.made++
	return fmt.Sprintf("%s %d-%d-%d", what, w.world.opt.Seed, w.id, w.made)
}
