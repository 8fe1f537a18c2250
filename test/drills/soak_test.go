package drills

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/test/drills/load"
	"holdfast/test/fault"
)

// TestSoak breaks one thing after the other, at random, for HOLDFAST_DRILLS_TIME. It works in spells: after each,
// everything of the spell is read back and judged, and the next has repositories of its own.
func TestSoak(t *testing.T) {
	whole := soakTime(t)
	spell, quiet := min(whole, 2*time.Minute), 5*time.Second
	r := prepare(t, drill{id: "soak", limits: limits{
		failed: []string{"none", "cut", "500", "502", "503", "504"}, reads: true, givenUp: true, noHint: true,
		answer: 30 * time.Second, recovery: 5 * time.Second,
	}})
	random := rand.New(rand.NewPCG(r.seed, 0))
	begun := time.Now()
	for n := 1; time.Since(begun) < whole && !t.Failed(); n++ {
		r.drill.load = func(o *load.Options) {
			busy(o)
			o.Prefix = fmt.Sprintf("soak%d", n)
		}
		r.warmUp()
		r.load.History.SetFaulty(true)
		r.began = r.load.History.Now()
		done := make(map[string]int)
		for end := time.Now().Add(spell); time.Now().Before(end) && !t.Failed(); {
			trouble := troubles()[random.IntN(len(troubles()))]
			done[trouble.name]++
			trouble.make(r, random)
			r.sleep(time.Duration(random.Int64N(int64(quiet))))
		}
		r.load.History.SetFaulty(false)
		r.moments[healed] = r.load.History.Now()
		r.sleep(r.size.recover)
		r.result.Note["spell"], r.result.Note["troubles"] = n, done
		r.finish()
	}
}

// trouble is made and mended by make.
type trouble struct {
	name string
	make func(*run, *rand.Rand)
}

func troubles() []trouble {
	return []trouble{
		{"kill one", func(r *run, random *rand.Rand) {
			n := 1 + random.IntN(3)
			r.must(r.cluster.Signal(n, syscall.SIGKILL))
			r.sleep(upTo(random, 5*time.Second))
			r.must(r.cluster.Restart(r.Context(), n))
		}},
		{"kill all", func(r *run, random *rand.Rand) {
			for n := 1; n <= 3; n++ {
				r.must(r.cluster.Signal(n, syscall.SIGKILL))
			}
			r.sleep(upTo(random, 2*time.Second))
			var wg sync.WaitGroup
			for n := 1; n <= 3; n++ {
				wg.Go(func() {
					if err := r.cluster.Restart(r.Context(), n); err != nil {
						r.Error(err)
					}
				})
			}
			wg.Wait()
		}},
		{"restart one", func(r *run, random *rand.Rand) { r.must(r.cluster.Restart(r.Context(), 1+random.IntN(3))) }},
		{"pause one", func(r *run, random *rand.Rand) {
			n := 1 + random.IntN(3)
			r.must(r.cluster.Signal(n, syscall.SIGSTOP))
			r.sleep(upTo(random, 8*time.Second))
			r.must(r.cluster.Signal(n, syscall.SIGCONT))
		}},
		{"store refuses", func(r *run, random *rand.Rand) {
			r.must(r.cluster.SignalS3(syscall.SIGKILL))
			r.sleep(upTo(random, 8*time.Second))
			r.must(r.cluster.RestartS3(r.Context()))
		}},
		{"store frozen", func(r *run, random *rand.Rand) {
			r.must(r.cluster.SignalS3(syscall.SIGSTOP))
			r.sleep(upTo(random, 8*time.Second))
			r.must(r.cluster.SignalS3(syscall.SIGCONT))
		}},
		{"reload", func(r *run, _ *rand.Rand) { r.must(r.cluster.SignalHAProxy(syscall.SIGUSR2)) }},
		{"balancer killed", func(r *run, _ *rand.Rand) {
			r.must(r.cluster.SignalHAProxy(syscall.SIGKILL))
			r.must(r.cluster.RestartHAProxy(r.Context()))
		}},
		{"store goes wrong", func(r *run, random *rand.Rand) {
			for _, p := range r.proxies {
				p.Set(wrongs(random)...)
			}
			r.sleep(upTo(random, 10*time.Second))
			r.everywhere()
		}},
	}
}

// wrongs are a few rules at once. No read of data is changed: that marks the blob corrupt until it is pushed again,
// which the load does not do.
func wrongs(random *rand.Rand) (rules []fault.Rule) {
	get, share := fault.Ops("GetObject"), 0.1*random.Float64()
	all := []fault.Rule{
		{Fault: fault.InternalError()},
		{Fault: fault.SlowDown()},
		{Fault: fault.Delay(0, 3*time.Second)},
		{Fault: fault.ResetBefore()},
		{Fault: fault.ResetAfter(), Match: fault.Writes},
		{Fault: fault.LostAnswer(500, "InternalError"), Match: fault.Writes},
		{Fault: fault.LostAnswer(503, "SlowDown"), Match: fault.Writes},
		{Fault: fault.ErrorIn200("InternalError"), Match: fault.Ops("CompleteMultipartUpload")},
		{Fault: fault.ResetBody(), Match: get},
		{Fault: fault.CutBody(), Match: get},
		{Fault: fault.Hang()},
		{Fault: fault.ExpiredToken()},
	}
	for _, n := range random.Perm(len(all))[:3] {
		all[n].Share = share
		rules = append(rules, all[n])
	}
	return rules
}

func upTo(random *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(most)))
}
