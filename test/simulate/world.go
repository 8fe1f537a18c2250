package simulate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	datamem "holdfast/internal/data/mem"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// world is one run of a scenario: the stores, the replicas, the clients and what they did.
type world struct {
	scenario *Scenario
	ctx      context.Context //nolint:containedctx // the run's own, for operations that the scheduler performs
	records  *recordmem.Store
	segments *datamem.Store
	mirror   *mirror
	shared   *hostile // the cache that replicas share, where they remember
	pageSize int

	mu       sync.Mutex
	arrived  []*op // since the last look; in no order
	pending  []*op // by name
	free     bool  // operations are performed at once: before and after the schedule
	stopping bool
	given    []*op // given up since the last look

	replicas   []*incarnation
	names      *names
	trace      trace
	contention *contention // nil when nobody wants to know
	step       int
	history    []fact
	facts      map[string]bool // calls that have returned, by name
	vars       map[string]string
	deletes    map[string]deletes
	removed    map[string]bool // objects that a collector has removed
	unknown    []*call         // whose outcome is unknown
	running    int             // clients that have not finished
	current    int             // the client that went last
	crashes    int
	injected   [faults]int
	broken     []string // what was found to be wrong
	lines      []string // the schedule, for people
	verbose    bool
}

// incarnation is a replica between two crashes: what it sends is refused once it is dead.
type incarnation struct {
	world    *world
	replica  int
	dead     bool
	records  record.Store // as its registry and its collectors see them
	registry *registry.Local
}

// call is one call of a client, on its way.
type call struct {
	Call
	client int
	number int
	name   string
	in     *incarnation
	seen   map[string]int // how often an operation of that name was made
	began  int64
	faults int  // that happened to its operations
	again  bool // a rival came first: its client sends it once more
	facts  []fact
}

type callKey struct{}

var errCrashed = errors.New("simulate: the replica is dead")

func newWorld(ctx context.Context, s *Scenario) *world {
	w := &world{
		scenario: s, ctx: ctx, free: true, pageSize: max(s.PageSize, 1), current: -1,
		names: newNames(), vars: map[string]string{}, deletes: map[string]deletes{}, removed: map[string]bool{}, facts: map[string]bool{},
	}
	if s.PageSize == 0 {
		w.pageSize = 1000
	}
	w.records = recordmem.New(recordmem.Config{})
	w.segments = datamem.New(datamem.Config{MaxBytes: s.SegmentBytes})
	w.mirror = newMirror(w)
	w.trace = newTrace()
	w.shared, w.trace.shared = newHostile(s.Remembers), s.Remembers != nothing
	w.replicas = make([]*incarnation, s.replicas()+1) // the last is for a fresh look in the end
	for i := range w.replicas[1:] {
		w.replicas[i] = w.open(i)
	}
	return w
}

// open starts a replica; what it reads and writes at its start is not scheduled.
func (w *world) open(replica int) *incarnation {
	in := &incarnation{world: w, replica: replica}
	in.records = records{in}
	if w.scenario.Remembers != nothing {
		in.records = w.remembering(in)
	}
	l, err := registry.New(w.ctx, in.records, segments{in}, registry.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		w.breaks("a replica does not start: %v", err)
		return in
	}
	in.registry = l
	return in
}

// breaks notes something that must not be.
func (w *world) breaks(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// submit hands an operation to the scheduler and waits for its answer. Outside of a schedule, and for
// operations that belong to no call, it is performed at once.
func (w *world) submit(ctx context.Context, in *incarnation, o *op) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("simulate: %s %s: %w", o.verb, o.key, err)
	}
	by, _ := ctx.Value(callKey{}).(*call)
	w.mu.Lock()
	if w.free || by == nil {
		defer w.mu.Unlock()
		return o.do()
	}
	if in.dead || w.stopping {
		w.mu.Unlock()
		return nil, errCrashed
	}
	o.by, o.done = by, make(chan answer, 1)
	w.arrived = append(w.arrived, o)
	w.mu.Unlock()
	select {
	case a := <-o.done:
		return a.value, a.err
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		w.given = append(w.given, o)
		return nil, fmt.Errorf("simulate: %s %s: %w", o.verb, o.key, ctx.Err())
	}
}

// at returns the replica, started anew when it has crashed.
func (w *world) at(replica int) *incarnation {
	w.mu.Lock()
	in := w.replicas[replica]
	w.mu.Unlock()
	if !in.dead {
		return in
	}
	in = w.open(replica)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas[replica] = in
	return in
}

// client makes the calls of one client, one after the other.
func (w *world) client(id int, script []Call) {
	defer func() {
		w.mu.Lock()
		w.running--
		w.mu.Unlock()
	}()
	for n, c := range script {
		k := &call{Call: c, client: id, number: n, name: fmt.Sprintf("c%d.%d", id+1, n+1), seen: map[string]int{}}
		if !w.begin(k) {
			return
		}
		w.perform(k)
	}
}

// begin waits until the scheduler lets the call begin; false when the run is over.
func (w *world) begin(k *call) bool {
	o := &op{by: k, verb: verbBegin, key: k.Name, done: make(chan answer, 1)}
	w.mu.Lock()
	if w.stopping {
		w.mu.Unlock()
		return false
	}
	w.arrived = append(w.arrived, o)
	w.mu.Unlock()
	a := <-o.done
	return a.err == nil
}

// perform makes a call and notes what came of it.
func (w *world) perform(k *call) {
	k.in = w.at(k.Replica)
	ctx := context.WithValue(w.ctx, callKey{}, k)
	env := &Env{world: w, call: k, Ctx: ctx, Registry: k.in.registry}
	k.facts = nil
	k.Do(env)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.returned(k)
}

// returned adds what a call has shown to the history.
func (w *world) returned(k *call) {
	if w.stopping {
		return
	}
	w.facts[k.name] = true
	end := int64(2*w.step + 1)
	unknown := k.again
	for _, f := range k.facts {
		f.call, f.ret, f.end, f.by = k.began, end, end, k.name
		if f.unknown {
			f.ret, unknown = never, unknown || f.do != doLeft && !k.Once
		}
		w.history = append(w.history, f)
	}
	if unknown {
		w.unknown = append(w.unknown, k)
	}
	w.say("        %s %s at replica %d: %s", k.name, k.Name, k.Replica, outcomes(k.facts))
}

func (w *world) say(format string, args ...any) {
	if w.verbose {
		w.lines = append(w.lines, fmt.Sprintf(format, args...))
	}
}
