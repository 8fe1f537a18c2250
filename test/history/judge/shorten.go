package judge

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// shorten looks for a small set of facts that are impossible together, and returns it with the values that the object
// may have had before them.
//
// It only ever leaves out what cannot make a possible history impossible: what began after some time; what had ended before
// some time, when anything may have been there then; and reads.
func shorten(facts []*fact, limit time.Duration) ([]*fact, []string) {
	give := time.Now().Add(limit)
	impossible := func(facts []*fact, begin []string) bool {
		left := time.Until(give)
		return left > 0 && checkRegister(facts, begin, left) == porcupine.Illegal
	}
	begin := []string{""}

	// The earliest end: reads that return later are left out, writes may return never.
	facts = slices.Clone(facts)
	slices.SortStableFunc(facts, func(x, y *fact) int { return cmp.Compare(x.from, y.from) })
	var ends []int64
	for _, f := range facts {
		if f.to != never {
			ends = append(ends, f.to)
		}
	}
	slices.Sort(ends)
	n := sort.Search(len(ends), func(n int) bool { return impossible(until(facts, ends[n]), begin) })
	if n < len(ends) {
		facts = until(facts, ends[n])
	}

	// The latest beginning.
	anything := values(facts)
	starts := []int64{math.MinInt64}
	for _, f := range facts {
		starts = append(starts, f.from)
	}
	if n := sort.Search(len(starts), func(n int) bool { return !impossible(since(facts, starts[n]), anything) }); n > 0 {
		facts, begin = since(facts, starts[n-1]), anything
	}

	for i := len(facts) - 1; i >= 0; i-- {
		if !facts[i].reads() && facts[i].do != maySet && facts[i].do != mayClear {
			continue
		}
		if fewer := slices.Delete(slices.Clone(facts), i, i+1); impossible(fewer, begin) && facts[i].reads() {
			facts = fewer
		}
	}
	return unneeded(facts, begin, impossible), begin
}

// until leaves out what begins after t, and lets what returns after it return never.
func until(facts []*fact, t int64) (kept []*fact) {
	for _, f := range facts {
		switch {
		case f.from > t, f.to > t && f.reads():
			continue
		case f.to > t:
			g := *f
			g.to = never
			f = &g
		}
		kept = append(kept, f)
	}
	return kept
}

// since leaves out what has ended before t.
func since(facts []*fact, t int64) (kept []*fact) {
	for _, f := range facts {
		if f.to >= t {
			kept = append(kept, f)
		}
	}
	return kept
}

// values are what an object may ever have been.
func values(facts []*fact) []string {
	all := []string{""}
	for _, f := range facts {
		if (f.do == set || f.do == maySet || f.do == is) && !slices.Contains(all, f.value) {
			all = append(all, f.value)
		}
	}
	return all
}

// unneeded leaves out writes that may return never and whose value nobody read: they explain nothing that is
// left. What is left is impossible with them, too.
func unneeded(facts []*fact, begin []string, impossible func([]*fact, []string) bool) []*fact {
	read := make(map[string]bool)
	for _, f := range facts {
		if f.do == is {
			read[f.value] = true
		}
	}
	fewer := slices.DeleteFunc(slices.Clone(facts), func(f *fact) bool {
		return f.to == never && f.do != cleared && f.do != absence && !read[f.value]
	})
	if impossible(fewer, begin) {
		return fewer
	}
	return facts
}
