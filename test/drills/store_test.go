package drills

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"holdfast/test/drills/load"
	"holdfast/test/fault"
)

// outage is what clients may see while no replica can use the store: 503 with Retry-After. HAProxy cuts what
// is under way at a replica when it takes that out of service: a request of each client at each.
func outage(answer time.Duration) limits {
	return limits{failed: []string{"503", "none", "cut"}, reads: true, givenUp: true, broken: 24, answer: answer, recovery: 2 * time.Second}
}

// busy clients pause no longer than in the full size: where faults come by chance, there must be enough of them.
func busy(o *load.Options) { o.Think, o.Large = 0, 0 }

// TestD14Slow: every request to the store takes long. Calls are slow, none fails, and they ask the store little more for it. Many
// clients, so that there are enough calls to compare.
func TestD14Slow(t *testing.T) {
	size := sizeOf(t)
	least, most := pick(size, 20*time.Millisecond, 0), pick(size, 300*time.Millisecond, 4*time.Second)
	slow := pick(size, 4*time.Second, 90*time.Second)
	var asked, calls [2]int // before the fault, and with it
	r := perform(t, drill{
		id: "D14", hold: slow,
		load: func(o *load.Options) { o.Clients = pick(size, 8, 24) },
		inject: func(r *run) {
			asked[0], calls[0] = r.asked()-r.result.Faults["calls"], r.load.History.Len()
			r.everywhere(fault.Rule{Fault: fault.Delay(least, most)})
		},
		heal: func(r *run) {
			asked[1], calls[1] = r.asked()-r.result.Faults["calls"]-asked[0], r.load.History.Len()-calls[0]
			r.everywhere()
		},
		limits: limits{recovery: 5 * time.Second},
	})
	asked[1] -= int(slow.Seconds()) * len(r.cluster.Replicas) // each asks once a second whether the store is there
	before, meanwhile := float64(asked[0])/float64(calls[0]), float64(asked[1])/float64(calls[1])
	r.Logf("a call asked the store %.2f times before, and %.2f times while it was slow", before, meanwhile)
	if meanwhile > pick(size, 2.5, 1.5)*before { // in the small size the mix of the calls says little
		t.Errorf("a call asked the store %.2f times before, and %.2f times while it was slow", before, meanwhile)
	}
}

// TestD15SlowForOne: the store is slow for one replica. The others do not notice.
func TestD15SlowForOne(t *testing.T) {
	size := sizeOf(t)
	r := perform(t, drill{
		id: "D15", hold: pick(size, 5*time.Second, 30*time.Second),
		direct: true,
		inject: func(r *run) {
			r.proxies[0].Set(fault.Rule{Fault: fault.Delay(pick(size, 300*time.Millisecond, time.Second), pick(size, 400*time.Millisecond, 1500*time.Millisecond))})
		},
		heal:   func(r *run) { r.proxies[0].Set() },
		limits: limits{failed: []string{"503"}, reads: true, givenUp: true, recovery: 5 * time.Second},
	})
	before, meanwhile := r.latency(r.cluster.Replicas[1:])
	r.Logf("99 of 100 reads at the other replicas took %s before and %s meanwhile", before, meanwhile)
	if meanwhile > 2*before+pick(size, time.Second, 100*time.Millisecond) {
		t.Errorf("99 of 100 reads at the other replicas took %s before and %s meanwhile", before, meanwhile)
	}
}

// latency returns how long 99 of 100 reads at some targets took, before the fault and during it.
func (r *run) latency(targets []string) (before, meanwhile time.Duration) {
	var took [2][]time.Duration
	for _, c := range r.load.History.Calls() {
		if c.Final || c.Op != load.ManifestGet || !slices.Contains(targets, c.Target) {
			continue
		}
		if at := c.Call; at < r.began {
			took[0] = append(took[0], time.Duration(c.Ret-at))
		} else if at < r.moments[healing] {
			took[1] = append(took[1], time.Duration(c.Ret-at))
		}
	}
	return percentile(took[0]), percentile(took[1])
}

func percentile(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)*99/100]
}

// TestD16FewErrors: one request in twenty to the store answers 500. No client notices.
func TestD16FewErrors(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D16-5", hold: pick(size, 5*time.Second, time.Minute), load: busy,
		inject: func(r *run) { r.everywhere(fault.Rule{Fault: fault.InternalError(), Share: 0.05}) },
		heal:   func(r *run) { r.everywhere() },
		limits: limits{answer: 10 * time.Second},
	})
}

// TestD16ManyErrors: three requests in ten answer 500. Few clients notice.
func TestD16ManyErrors(t *testing.T) {
	size := sizeOf(t)
	r := perform(t, drill{
		id: "D16-30", hold: pick(size, 5*time.Second, time.Minute),
		inject: func(r *run) { r.everywhere(fault.Rule{Fault: fault.InternalError(), Share: 0.3}) },
		heal:   func(r *run) { r.everywhere() },
		limits: limits{failed: []string{"503"}, reads: true, givenUp: true, answer: 10 * time.Second, recovery: time.Second},
	})
	asked, failed := r.during()
	r.Logf("%d of %d calls failed", failed, asked)
	if float64(failed) > 0.03*float64(asked)+pick(size, 6.0, 0) { // few calls tell little of a share
		t.Errorf("%d of %d calls failed, want less than 3 in 100", failed, asked)
	}
}

// during counts the calls that began while the fault lasted.
func (r *run) during() (asked, failed int) {
	for _, c := range r.load.History.Calls() {
		if c.Faulty && !c.Final {
			asked++
			if c.Failed() {
				failed++
			}
		}
	}
	return asked, failed
}

// TestD17SlowDown: the store asks for fewer requests, and gets them.
func TestD17SlowDown(t *testing.T) {
	size := sizeOf(t)
	hold := pick(size, 5*time.Second, 10*time.Second)
	var warm, meanwhile int
	r := perform(t, drill{
		id: "D17", hold: hold,
		inject: func(r *run) {
			warm = r.asked() - r.result.Faults["calls"]
			r.everywhere(fault.Rule{Fault: fault.SlowDown()})
		},
		heal: func(r *run) {
			meanwhile = r.asked() - warm - r.result.Faults["calls"]
			r.everywhere()
		},
		limits: outage(10 * time.Second),
	})
	before, during := float64(warm)/r.size.warm.Seconds(), float64(meanwhile)/hold.Seconds()
	r.Logf("the store was asked %.0f times a second before, and %.0f times while it asked for fewer", before, during)
	if during > pick(size, 2, 1.2)*before { // other drills begin meanwhile
		t.Errorf("the store was asked %.0f times a second before, and %.0f times while it asked for fewer", before, during)
	}
}

// asked is how many requests the store was sent until now.
func (r *run) asked() (n int) {
	for _, p := range r.proxies {
		n += p.Counts()["calls"]
	}
	return n
}

// TestD18BrokenBodies: answers of the store break off in their body, lists are short or an error under 200.
func TestD18BrokenBodies(t *testing.T) {
	size := sizeOf(t)
	get, list := fault.Ops("GetObject"), fault.Ops("ListObjectsV2")
	perform(t, drill{
		id: "D18", hold: pick(size, 5*time.Second, time.Minute), load: busy,
		inject: func(r *run) {
			r.everywhere(
				fault.Rule{Fault: fault.ResetBody(), Match: get, Share: 0.05},
				fault.Rule{Fault: fault.CutBody(), Match: get, Share: 0.05},
				fault.Rule{Fault: fault.CutBody(), Match: list, Share: 0.1},
				fault.Rule{Fault: fault.ShortBody(), Match: list, Share: 0.1},
				fault.Rule{Fault: fault.ErrorIn200("InternalError"), Match: list, Share: 0.1},
			)
		},
		heal:   func(r *run) { r.everywhere() },
		limits: limits{failed: []string{"503", "cut"}, most: pick(size, 8, 100), reads: true, givenUp: true, answer: 10 * time.Second, recovery: time.Second},
	})
}

// TestD20LostAnswers: the store does what it is asked, and the answer is lost, wrong or an error.
func TestD20LostAnswers(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D20", hold: pick(size, 6*time.Second, time.Minute), load: busy,
		inject: func(r *run) {
			r.everywhere(
				fault.Rule{Fault: fault.ResetAfter(), Match: fault.Writes, Share: 0.03},
				fault.Rule{Fault: fault.LostAnswer(500, "InternalError"), Match: fault.Writes, Share: 0.03},
				fault.Rule{Fault: fault.LostAnswer(409, "ConditionalRequestConflict"), Match: fault.Of(fault.Record, fault.Ops("PutObject")), Share: 0.03},
				fault.Rule{Fault: fault.ErrorIn200("InternalError"), Match: fault.Ops("CompleteMultipartUpload"), Share: 0.2},
				fault.Rule{Fault: fault.WrongETag(), Match: fault.Ops("PutObject"), Share: 0.03},
				fault.Rule{Fault: fault.ResetBefore(), Share: 0.02},
			)
		},
		heal:   func(r *run) { r.everywhere() },
		limits: limits{failed: []string{"503"}, most: pick(size, 10, 200), answer: 10 * time.Second, recovery: time.Second},
	})
}

// TestD21StoreRefuses: the S3 servers are gone; connections are refused.
func TestD21StoreRefuses(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D21", hold: pick(size, 7*time.Second, time.Minute),
		inject: func(r *run) { r.must(r.cluster.SignalS3(syscall.SIGKILL)) },
		heal:   func(r *run) { r.must(r.cluster.RestartS3(r.Context())) },
		limits: outage(time.Second),
	})
}

// TestD22StoreFrozen: the S3 servers take connections and never answer.
func TestD22StoreFrozen(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D22", hold: pick(size, 8*time.Second, time.Minute),
		inject: func(r *run) { r.must(r.cluster.SignalS3(syscall.SIGSTOP)) },
		heal:   func(r *run) { r.must(r.cluster.SignalS3(syscall.SIGCONT)) },
		limits: outage(5 * time.Second),
	})
}

// TestD23Credentials: the store takes the credentials no longer. Clients are told to come back, not that they
// may not.
func TestD23Credentials(t *testing.T) {
	size := sizeOf(t)
	limits := outage(5 * time.Second)
	limits.recovery = 5 * time.Second
	perform(t, drill{
		id: "D23", hold: pick(size, 4*time.Second, 20*time.Second),
		inject: func(r *run) { r.everywhere(fault.Rule{Fault: fault.ExpiredToken()}) },
		heal:   func(r *run) { r.everywhere() },
		limits: limits,
	})
}

// TestD30StoreClock: the Date of the store's answers is off, at one replica and by more than it refuses.
func TestD30StoreClock(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D30", hold: pick(size, 2*time.Second, 20*time.Second),
		inject: func(r *run) {
			r.proxies[0].Set(fault.Rule{Fault: fault.SkewDate(20 * time.Minute)})
			r.proxies[1].Set(fault.Rule{Fault: fault.SkewDate(-2 * time.Hour)})
			r.sleep(pick(size, 3*time.Second, 30*time.Second))
			r.proxies[0].Set(fault.Rule{Fault: fault.TimeTooSkewed(), Share: 0.5})
		},
		heal:   func(r *run) { r.everywhere() },
		limits: limits{failed: []string{"503"}, reads: true, givenUp: true, answer: 5 * time.Second, recovery: 2 * time.Second},
	})
}
