package drills

import (
	"net/url"
	"testing"
	"time"

	"holdfast/test/drills/check"
)

func port(r *run, base string) string {
	u, err := url.Parse(base)
	r.must(err)
	return u.Port()
}

// TestD24NoStoreForOne: one replica no longer reaches the store: packets vanish, or connections are reset.
func TestD24NoStoreForOne(t *testing.T) {
	for name, rule := range map[string][]string{
		"Drop":  {"-j", "DROP"},
		"Reset": {"-j", "REJECT", "--reject-with", "tcp-reset"},
	} {
		t.Run(name, func(t *testing.T) {
			if !inNamespace(t) {
				return
			}
			size := sizeOf(t)
			var mend func()
			r := perform(t, drill{
				id: "D24-" + name, hold: pick(size, 9*time.Second, 30*time.Second),
				inject: func(r *run) {
					mend = r.packets(append([]string{"--dport", port(r, r.proxies[0].URL)}, rule...))
				},
				heal:   func(r *run) { mend() },
				limits: limits{failed: []string{"503", "none", "cut"}, reads: true, givenUp: true, broken: 8, answer: 5 * time.Second, recovery: 2 * time.Second},
			})
			r.noReadFailsAfter(size.bound(6 * time.Second))
		})
	}
}

// noReadFailsAfter checks that reads work again although the fault lasts.
func (r *run) noReadFailsAfter(d time.Duration) {
	r.Helper()
	for _, c := range r.load.History.Calls() {
		if at := time.Duration(c.Call - r.moments[broken]); c.Failed() && !c.Write() && at > d {
			r.Errorf("a read failed %s after the fault began: %s", at.Round(time.Millisecond), check.Describe(c))
		}
	}
}

// TestD25NoWayToOne: HAProxy no longer reaches one replica; or reaches it and gets no answers.
func TestD25NoWayToOne(t *testing.T) {
	for name, match := range map[string]string{"Requests": "--dport", "Answers": "--sport"} {
		t.Run(name, func(t *testing.T) {
			if !inNamespace(t) {
				return
			}
			size := sizeOf(t)
			var mend func()
			perform(t, drill{
				id: "D25-" + name, hold: pick(size, 6*time.Second, 30*time.Second),
				inject: func(r *run) {
					mend = r.packets([]string{match, port(r, r.cluster.Replicas[1]), "-j", "DROP"})
				},
				heal: func(r *run) { mend() },
				// HAProxy 2.6 asks no other replica for a read that was still connecting when it gave this one up.
				limits: limits{failed: []string{"none", "502", "503", "504", "cut"}, most: 8, reads: true, answer: 3 * time.Second, recovery: 2 * time.Second},
			})
		})
	}
}
