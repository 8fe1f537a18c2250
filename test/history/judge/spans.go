package judge

import (
	"cmp"
	"slices"
	"sort"
)

// span is a time from which on, or until which, something may have happened.
type span struct{ from, to int64 }

// presence is what is known of one name in a list. Evidence of one kind holds until something of the other kind may
// have happened.
type presence struct {
	shown, gone      []span // it was there, or not, at some time in each of these
	brought, removed []span // it may have been put, or taken away, at any time in these

	ready                  bool
	shownFrom, goneFrom    []int64 // latest from among those that ended up to this one
	broughtTill, removedTo []int64 // latest to among those that began up to this one
}

func (p *presence) prepare() {
	if p.ready {
		return
	}
	p.ready = true
	byTo := func(x, y span) int { return cmp.Compare(x.to, y.to) }
	byFrom := func(x, y span) int { return cmp.Compare(x.from, y.from) }
	slices.SortFunc(p.shown, byTo)
	slices.SortFunc(p.gone, byTo)
	slices.SortFunc(p.brought, byFrom)
	slices.SortFunc(p.removed, byFrom)
	p.shownFrom = latest(p.shown, func(s span) int64 { return s.from })
	p.goneFrom = latest(p.gone, func(s span) int64 { return s.from })
	p.broughtTill = latest(p.brought, func(s span) int64 { return s.to })
	p.removedTo = latest(p.removed, func(s span) int64 { return s.to })
}

func latest(spans []span, of func(span) int64) []int64 {
	all := make([]int64, len(spans))
	for i, s := range spans {
		all[i] = of(s)
		if i > 0 {
			all[i] = max(all[i], all[i-1])
		}
	}
	return all
}

// surelyThere reports whether the name was there during all of from to to: somebody saw it before, and nothing that may
// take it away ran between then and the end.
func (p *presence) surelyThere(from, to int64) bool {
	p.prepare()
	return holds(p.shown, p.shownFrom, p.removed, p.removedTo, from, to, false)
}

// surelyGone reports whether the name was not there during all of from to to. In the beginning nothing is.
func (p *presence) surelyGone(from, to int64) bool {
	p.prepare()
	return holds(p.gone, p.goneFrom, p.brought, p.broughtTill, from, to, true)
}

func holds(evidence []span, evidenceFrom []int64, against []span, againstTill []int64, from, to int64, atFirst bool) bool {
	n := sort.Search(len(evidence), func(i int) bool { return evidence[i].to >= from })
	since := int64(-1)
	if n > 0 {
		since = evidenceFrom[n-1]
	} else if !atFirst {
		return false
	}
	k := sort.Search(len(against), func(i int) bool { return against[i].from > to })
	return k == 0 || againstTill[k-1] < since
}
