package simulate

import (
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"holdfast/internal/oci"
)

// A delete of a manifest takes its tags along, and a push sets them: which of the two came first is not to be seen from one of these objects
// alone. So each tag is judged together with each manifest that it was set to and that was deleted (ADR 4). Neither call is one step:
// readers may see the manifest without its tag, and for a moment the tag without its manifest. But a push sets its tag in the life of the
// manifest that it began or found, and not over what was set since that ended; and a delete takes what was set in the lives that it
// knows to be over, and nothing else.

// pair is the model of a manifest and of one tag.
type pair struct {
	there  bool // the manifest is
	deaths int8 // how often it went
	tag    string
	life   int8               // if the tag names the manifest: how often that had gone, in the life in which the tag was set
	wrote  int8               // how often it had gone when the tag was last written
	calls  [callsOfAPair]int8 // of a push that has seen to the manifest, and of a delete that has killed it: how often it had gone then, plus one
}

// callsOfAPair is how many calls may change the manifest.
const callsOfAPair = 12

// pairStep is what a fact shows of a pair: one of the two steps of a call, or all of it.
type pairStep struct {
	fact
	kind pairKind
	by   int // the call's place in pair.calls
}

type pairKind uint8

const (
	pairAdopt  pairKind = iota // the manifest is there, by a push that found or wrote it
	pairFind                   // the same, by a restore, which writes none
	pairKill                   // the manifest goes
	pairThere                  // it is read
	pairGone                   // it is not there
	pairTag                    // the tag is set to the manifest
	pairPassed                 // the tag is passed by a delete of the manifest
	pairOther                  // anything else about the tag, of which the model of a register knows
)

// checkPairs judges tags together with the manifests that they were set to.
func (w *world) checkPairs(memory *judged) {
	if w.injected[faultRival] > 0 {
		return // whose calls no history knows
	}
	for _, repo := range w.scenario.Repositories {
		for _, m := range w.scenario.Manifests {
			for _, t := range w.scenario.Tags {
				steps, calls := w.pairSteps(repo, m, t)
				if calls > callsOfAPair {
					w.breaks("the simulation itself is broken: %d calls change manifest %s", calls, m.Name)
				} else if calls > 0 && !memory.judge(canonicalPair(steps), func() bool { return m.fits(steps) }) {
					w.breaks("not linearizable: tag %s with manifest %s\n%s", t, m.Name, describe(w.factsOf(repo, m, t)))
				}
			}
		}
	}
}

// factsOf is what was seen of a tag and a manifest, in the order of the calls.
func (w *world) factsOf(repo oci.Repository, m *Manifest, t oci.Tag) []fact {
	facts := slices.DeleteFunc(w.relevant(w.history), func(f fact) bool { return f.object != manifestObject(repo, m.Name) && f.object != tagObject(repo, t) })
	slices.SortStableFunc(facts, func(a, b fact) int { return int(a.call - b.call) })
	return facts
}

// pairSteps is the history of a pair, and how many calls may have changed the manifest; none when there is nothing to judge: the tag was never set to
// the manifest, or that never went.
func (w *world) pairSteps(repo oci.Repository, m *Manifest, t oci.Tag) (steps []pairStep, calls int) {
	facts, tag := w.factsOf(repo, m, t), tagObject(repo, t)
	set := func(f fact) bool { return f.object == tag && (f.do == doSet || f.do == doSetNew) && f.arg == m.Name }
	kills := func(f fact) bool { return f.object != tag && (f.do == doAbsence || f.do == doCollected) }
	if !slices.ContainsFunc(facts, set) || !slices.ContainsFunc(facts, kills) {
		return nil, 0
	}
	places := map[string]int{}
	for _, f := range facts {
		s := pairStep{fact: f, kind: pairOther}
		switch {
		case set(f):
			s.kind = pairTag
			if _, pushed := places[f.by]; !pushed {
				places[f.by] = len(places)
				steps = append(steps, pairStep{f, pairFind, places[f.by]})
			}
		case f.object == tag:
			if f.do == doClearIf && f.arg == m.Name {
				s.kind = pairPassed
			}
		case kills(f):
			s.kind = pairKill
		case f.do == doSet || f.do == doLeft:
			s.kind = pairAdopt
		case f.do == doMissing:
			s.kind = pairGone
		default:
			s.kind = pairThere
		}
		if _, known := places[f.by]; !known && (s.kind == pairAdopt || s.kind == pairKill) {
			places[f.by] = len(places)
		}
		s.by = places[f.by]
		steps = append(steps, s)
	}
	return steps, len(places)
}

// canonicalPair writes a history with its times as ranks.
func canonicalPair(steps []pairStep) string {
	facts := make([]fact, len(steps))
	kinds := make([]byte, 0, 2*len(steps))
	for i, s := range steps {
		facts[i] = s.fact
		kinds = append(kinds, byte(s.kind), byte(s.by))
	}
	return fmt.Sprintf("%x %s", kinds, canonical(facts))
}

// fits reports whether an order of the steps exists that explains all that was seen.
func (m *Manifest) fits(steps []pairStep) bool {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{pair{}} },
		Step: func(state, input, _ any) []any {
			var all []any
			for _, s := range state.(pair).undone(m.Name) {
				for _, next := range s.step(input.(pairStep), m.Name) {
					all = append(all, next)
				}
			}
			return all
		},
		Equal: func(a, b any) bool { return a == b },
	}
	ops := make([]porcupine.Operation, len(steps))
	for i, s := range steps {
		ops[i] = porcupine.Operation{ClientId: i, Input: s, Call: s.call, Return: s.ret}
	}
	return porcupine.CheckOperations(model.ToModel(), ops)
}

// stale reports whether the tag names the manifest in a life that is over.
func (s pair) stale(manifest string) bool { return s.tag == manifest && s.life < s.deaths }

// undone is the pair as it is, and as it may be at any time: without a tag whose manifest is gone. The push that set it takes it back, or whoever deletes the manifest once more.
func (s pair) undone(manifest string) []pair {
	if !s.stale(manifest) {
		return []pair{s}
	}
	without := s
	without.tag, without.wrote = "", s.deaths
	return []pair{s, without}
}

// step returns what may be after a step, with what may be without it when nobody knows whether it came to that.
func (s pair) step(p pairStep, manifest string) []pair {
	var after []pair
	if p.kind == pairOther {
		after = s.other(p.fact, manifest)
	} else if next, possible := s.after(p, manifest); possible {
		after = []pair{next}
	}
	if p.unknown && !slices.Contains(after, s) {
		after = append(after, s)
	}
	return after
}

// after returns the pair after a step of a call that concerns both, and whether the step is possible.
func (s pair) after(p pairStep, manifest string) (next pair, possible bool) {
	known := s.calls[p.by] - 1 // how often the manifest had gone at the call's first step
	switch p.kind {
	case pairAdopt, pairFind:
		possible = s.there || p.kind == pairAdopt
		s.there, s.calls[p.by] = true, s.deaths+1
		return s, possible
	case pairKill:
		if s.there {
			s.there, s.deaths = false, s.deaths+1
		}
		s.calls[p.by] = s.deaths + 1
		return s, true
	case pairThere:
		return s, s.there
	case pairGone:
		return s, !s.there
	case pairTag:
		possible = known >= 0 && s.wrote <= known && (p.do == doSet || s.tag == "" || s.tag == manifest)
		s.tag, s.life, s.wrote = manifest, known, s.deaths
		return s, possible
	case pairPassed:
		if s.tag == manifest && s.life < known {
			s.tag = ""
		}
		s.wrote = max(s.wrote, known)
		return s, known >= 0
	}
	panic(fmt.Sprintf("simulate: no such step: %d", p.kind))
}

// other returns what may be after something that concerns the tag alone.
func (s pair) other(f fact, manifest string) []pair {
	if s.stale(manifest) && (f.do == doMissing || f.do == doNot) {
		return []pair{s} // a reader who looks for the manifest itself
	}
	var all []pair
	for _, tag := range stepRegister(s.tag, f) {
		next := s
		if next.tag = tag.(string); next.tag != s.tag || f.do == doSet {
			next.wrote = s.deaths
		}
		all = append(all, next)
	}
	return all
}
