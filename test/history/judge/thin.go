package judge

// mostPending is how many writes of a kind may be pending at the end of an object's history: the time to find an order
// doubles with each.
const mostPending = 3

// pending are writes without an answer that thin has left out: since when they may have taken effect.
type pending struct {
	sets  map[string]int64 // by value
	any   int64            // of any value
	clear int64
}

// thin leaves out writes without an answer where there are many of a kind, as after an outage of the store, and those whose
// value nobody read. What they may explain is from then on taken as explained: a read of the value by a set, a read of nothing by a
// delete, and that there was something to delete. So a history that is possible stays so; a mistake behind an
// outage may pass.
func thin(facts []*fact) []*fact {
	sets, read, clears := make(map[string]int), make(map[string]bool), 0
	for _, f := range facts {
		switch {
		case f.do == is:
			read[f.value] = true
		case f.to != never:
		case f.do == set, f.do == maySet:
			sets[f.value]++
		default:
			clears++
		}
	}
	out := func(f *fact) bool {
		switch {
		case f.to != never || f.reads():
			return false
		case f.do == set, f.do == maySet:
			return !read[f.value] || sets[f.value] > mostPending
		}
		return clears > mostPending
	}
	p := pending{sets: make(map[string]int64), any: never, clear: never}
	var kept []*fact
	for _, f := range facts {
		if !out(f) {
			kept = append(kept, f)
			continue
		}
		if f.do != set && f.do != maySet {
			p.clear = min(p.clear, f.from)
			continue
		}
		since, known := p.sets[f.value]
		if !known || f.from < since {
			p.sets[f.value] = f.from
		}
		p.any = min(p.any, f.from)
	}
	for i, f := range kept {
		kept[i] = p.explain(f)
	}
	return kept
}

// explain returns a fact as it is when any of what was left out may have come before.
func (p *pending) explain(f *fact) *fact {
	g := *f
	since, known := p.sets[f.value]
	switch {
	case f.do == is && known && since <= f.to:
		g.do = set
	case f.do == missing && p.clear <= f.to && p.clear != never:
		g.do = absence
	case f.do == cleared && p.any <= f.to && p.any != never:
		g.do = absence
	default:
		return f
	}
	return &g
}
