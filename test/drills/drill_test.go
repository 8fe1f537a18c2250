package drills

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"holdfast/test/cluster"
	"holdfast/test/drills/check"
	"holdfast/test/drills/load"
	"holdfast/test/fault"
)

const (
	ourHAProxy = "../../deploy/haproxy/haproxy.cfg"
	zotHAProxy = "../../deploy/haproxy/zot-sample.cfg"
)

// drill is what to break, for how long, and what may be seen of it.
type drill struct {
	id     string
	hold   time.Duration // between inject and heal
	inject func(*run)
	heal   func(*run) // nil: nothing to mend

	cluster func(*cluster.Options)               // changes the cluster; nil: as usual
	front   func(address string) (string, error) // of the cache: cluster.Options.CacheFront
	patient bool                                 // with the cache, so that lies are waited for
	load    func(*load.Options)
	direct  bool          // clients choose a replica themselves
	grace   time.Duration // of the collector; 0: there is none to reckon with
	after   func(*run)    // further checks, once everything was read back
	limits
}

// limits bound what clients may see. Lost, corrupt, resurrected and false 404s are never allowed.
type limits struct {
	failed   []string      // outcomes that failed calls may have (check.Verdict.Failed); none: no call may fail
	reads    bool          // reads may fail too
	most     int           // failed calls at most; 0: any number
	writes   int           // failed writes at most; 0: any number
	broken   int           // calls without an answer, or with one that broke off or is 502, at most; 0: any number
	noHint   bool          // 503 may lack Retry-After: it is not ours
	givenUp  bool          // flows may end without success
	answer   time.Duration // every call answers within; 0: not bounded
	recovery time.Duration // no call fails so long after since
	since    moment
}

// moment is when recovery begins.
type moment int

const (
	healed  moment = iota // heal has returned
	healing               // heal is called
	broken                // inject has returned
)

// run is a drill under way.
type run struct {
	*testing.T
	drill
	size    size
	seed    uint64
	cluster *cluster.Cluster
	proxies []*fault.Proxy // one for each replica
	load    *load.Load
	loadOpt load.Options
	env     []string         // of the replicas
	config  string           // a file, for commands on the store
	moments map[moment]int64 // in the history's time
	began   int64            // inject is called
	before  []cluster.Usage
	result  result
}

// result is the line that a drill writes.
type result struct {
	Drill string  `json:"drill"`
	Size  string  `json:"size"`
	Seed  uint64  `json:"seed"`
	Rate  float64 `json:"rate"` // calls a second before the fault
	*check.Verdict
	load.Work
	Recovery time.Duration   `json:"recovery_ns"` // from heal to the end of the last failed call
	Faults   map[string]int  `json:"faults,omitempty"`
	Before   []cluster.Usage `json:"before"` // of each replica
	After    []cluster.Usage `json:"after"`
	Reading  time.Duration   `json:"reading_ns"` // everything back
	Note     map[string]any  `json:"note,omitempty"`
}

// perform runs a drill from start to verdict.
func perform(t *testing.T, d drill) *run {
	t.Helper()
	r := prepare(t, d)
	r.warmUp()
	r.load.History.SetFaulty(true)
	r.began = r.load.History.Now()
	d.inject(r)
	r.moments[broken] = r.load.History.Now()
	r.sleep(d.hold)
	r.moments[healing] = r.load.History.Now()
	if d.heal != nil {
		d.heal(r)
	}
	r.load.History.SetFaulty(false)
	r.moments[healed] = r.load.History.Now()
	r.sleep(r.size.recover)
	r.finish()
	return r
}

// prepare starts the cluster.
func prepare(t *testing.T, d drill) *run {
	t.Helper()
	if s := sizeOf(t); !s.full {
		t.Parallel() // the waiting of one is the work of another
	}
	r := &run{T: t, drill: d, size: sizeOf(t), seed: seedFor(t), moments: make(map[moment]int64)}
	binary, err := cluster.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	opt := cluster.Options{
		Binary: binary, HAProxyConfig: ourHAProxy,
		Front: func(n int, s3 string) (string, error) {
			p, err := fault.New(t.Context(), s3, r.seed+uint64(n))
			if err != nil {
				return "", err
			}
			r.proxies = append(r.proxies, p)
			return p.URL, nil
		},
		Edit: func(cfg map[string]any) {
			cfg["http"].(map[string]any)["drainDelay"] = pick(r.size, "3s", "5s")
			cfg["log"].(map[string]any)["level"] = "info"
		},
	}
	if d.cluster != nil {
		d.cluster(&opt)
	}
	r.env = opt.Env
	started := time.Now()
	r.cluster, err = cluster.Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err) // its proxies end with the test's program
	}
	t.Logf("the cluster took %s to start", time.Since(started).Round(time.Millisecond))
	t.Cleanup(r.end)
	r.config = r.commandConfig()
	return r
}

// end ends the cluster: at once, for nobody waits for it to drain.
func (r *run) end() {
	if r.Failed() {
		r.Log(r.cluster.Complaints())
	}
	var errs []error
	for n := range r.cluster.Replicas {
		errs = append(errs, r.cluster.Signal(n+1, syscall.SIGKILL))
	}
	errs = append(errs, r.cluster.SignalS3(syscall.SIGKILL), r.cluster.SignalHAProxy(syscall.SIGKILL), r.cluster.Stop())
	for _, p := range r.proxies {
		errs = append(errs, p.Close())
	}
	if err := errors.Join(errs...); err != nil {
		r.Error(err)
	}
}

// warmUp starts the load and checks that it works.
func (r *run) warmUp() {
	r.result = result{Drill: r.id, Size: r.size.name, Seed: r.seed, Note: make(map[string]any)}
	r.loadOpt = load.Options{Seed: r.seed, Think: r.size.think, Large: r.size.large, Target: func(*rand.Rand) string { return r.cluster.URL }}
	if r.direct {
		r.loadOpt.Target = func(random *rand.Rand) string {
			return r.cluster.Replicas[random.IntN(len(r.cluster.Replicas))]
		}
	}
	if r.drill.load != nil {
		r.drill.load(&r.loadOpt)
	}
	r.result.Faults = map[string]int{"calls": r.asked()} // by the start
	r.load = load.Run(r.Context(), r.loadOpt)
	r.Cleanup(r.load.Stop)
	r.sleep(r.size.warm)
	r.result.Rate = float64(r.load.History.Len()) / r.size.warm.Seconds()
	r.before = r.usage()
}

func (r *run) usage() (all []cluster.Usage) {
	for n := range r.cluster.Replicas {
		u, err := r.cluster.Usage(n + 1)
		if err != nil {
			r.Error(err)
		}
		all = append(all, u)
	}
	return all
}

// settled returns what the replicas hold when they have had time to let go of what the drill needed. In the full
// size that must come back to what it was.
func (r *run) settled() []cluster.Usage {
	r.Helper()
	within := func(after []cluster.Usage) bool {
		for n, u := range after {
			if u.Descriptors > r.before[n].Descriptors*11/10+16 {
				return false
			}
		}
		return true
	}
	after := r.usage()
	if !r.size.full || r.grace > 0 { // a collector works on, and asks the store for more than clients do
		return after
	}
	for end := time.Now().Add(time.Minute); !within(after) && time.Now().Before(end); after = r.usage() {
		r.sleep(time.Second)
	}
	if !within(after) {
		r.Errorf("a minute after the load's end the replicas hold %+v, and held %+v", after, r.before)
	}
	return after
}

// sleep lets the load work for a while.
func (r *run) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

// must ends the drill when something of its own went wrong.
func (r *run) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// everywhere puts rules into force at every replica's store.
func (r *run) everywhere(rules ...fault.Rule) {
	for _, p := range r.proxies {
		p.Set(rules...)
	}
}
