package drills

import (
	"encoding/json"
	"slices"
	"time"

	"holdfast/test/drills/check"
	"holdfast/test/drills/load"
)

// finish stops the load, reads everything back, judges, and writes the line.
func (r *run) finish() {
	r.Helper()
	r.load.Stop()
	calls := r.load.History.Calls()
	reading := time.Now()
	r.load.ReadBack(r.Context(), r.loadOpt, r.cluster.Replicas)
	r.result.Reading = time.Since(reading)
	if r.result.Verdict = check.History(r.load.History.Calls()); r.grace > 0 {
		r.result.Verdict = check.Collected(r.load.History.Calls(), r.grace)
	}
	r.result.Work = r.load.Work()
	r.result.Recovery = recovery(calls, r.moments[r.since])
	r.result.Before, r.result.After = r.before, r.settled()
	r.result.Faults = make(map[string]int)
	for _, p := range r.proxies {
		for name, n := range p.Counts() {
			r.result.Faults[name] += n
		}
	}
	r.judge(calls)
	defer r.write()
	if r.after != nil {
		r.after(r)
	}
}

func recovery(calls []load.Call, healed int64) time.Duration {
	last := healed
	for _, c := range calls {
		if c.Failed() {
			last = max(last, c.Ret)
		}
	}
	return time.Duration(last - healed)
}

func (r *run) judge(calls []load.Call) {
	r.Helper()
	v, l := r.result.Verdict, r.limits
	if r.result.Rate < r.size.rate {
		r.Errorf("inconclusive: %.0f calls a second before the fault, want %.0f", r.result.Rate, r.size.rate)
	}
	if !v.Sound() {
		r.Errorf("lost %d, corrupt %d, resurrected %d, false 404 %d, unexpected %d", v.Lost, v.Corrupt, v.Resurrected, v.False404, v.Unexpected)
	}
	failed := 0
	for outcome, n := range v.Failed {
		failed += n
		if !slices.Contains(l.failed, outcome) {
			r.Errorf("%d calls failed with %s", n, outcome)
		}
	}
	if v.FailedReads > 0 && !l.reads {
		r.Errorf("%d reads failed", v.FailedReads)
	}
	if l.most > 0 && failed > l.most {
		r.Errorf("%d calls failed, want at most %d", failed, l.most)
	}
	if l.writes > 0 && failed-v.FailedReads > l.writes {
		r.Errorf("%d writes failed, want at most %d", failed-v.FailedReads, l.writes)
	}
	if n := v.Failed["none"] + v.Failed["cut"] + v.Failed["502"]; l.broken > 0 && n > l.broken {
		r.Errorf("%d calls broke, want at most %d", n, l.broken)
	}
	if v.NoHint > 0 && !l.noHint {
		r.Errorf("%d answers of 503 or 429 lack Retry-After", v.NoHint)
	}
	for _, c := range calls { // a HEAD has no body
		if c.Status >= 500 && !c.Cut && c.Code != "UNAVAILABLE" && c.Op != load.BlobHead && !l.noHint {
			r.Errorf("an answer of %d has the code %q, want UNAVAILABLE in JSON: %s", c.Status, c.Code, check.Describe(c))
			break
		}
	}
	if r.result.GivenUp > 0 && !l.givenUp {
		r.Errorf("%d pushes were given up", r.result.GivenUp)
	}
	if bound := r.size.bound(l.answer); l.answer > 0 && v.LongestWait > bound {
		r.Errorf("%s without an answer, want at most %s: %s", v.LongestWait, bound, v.LongestOf)
	}
	if bound := r.size.bound(l.recovery); r.result.Recovery > bound {
		r.Errorf("calls failed until %s after the fault's end, want %s", r.result.Recovery, bound)
	}
	if r.Failed() {
		for _, p := range v.Problems {
			r.Log(p)
		}
		shown := make(map[string]int)
		for _, c := range calls {
			if kind := check.Outcome(c); c.Failed() && shown[kind] < 4 {
				shown[kind]++
				r.Logf("failed %s after the fault began and %s before its end: %s", ms(c.Call-r.began), ms(r.moments[healed]-c.Ret), check.Describe(c))
			}
		}
	}
}

func ms(ns int64) time.Duration { return time.Duration(ns).Round(time.Millisecond) }

func (r *run) write() {
	r.Helper()
	line, err := json.Marshal(r.result)
	r.must(err)
	r.Logf("%s", line)
	if f := outFile(r.T, "drills.jsonl"); f != nil {
		_, err := f.Write(append(line, '\n'))
		r.must(err)
		r.must(f.Close())
	}
	if !r.Failed() {
		return
	}
	if f := outFile(r.T, r.id+"-history.jsonl"); f != nil {
		_, err := r.load.History.WriteTo(f)
		r.must(err)
		r.must(f.Close())
	}
}
