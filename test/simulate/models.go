package simulate

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/anishathalye/porcupine"
	"github.com/opencontainers/go-digest"
)

// judged remembers which histories were found to be linearizable: most schedules of a scenario differ in nothing that a
// client sees.
type judged struct {
	mu    sync.Mutex
	known map[string]bool
}

// judge reports whether a history, named by key, is good.
func (j *judged) judge(key string, good func() bool) bool {
	j.mu.Lock()
	known := j.known[key]
	j.mu.Unlock()
	if known {
		return true
	}
	if !good() {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.known[key] = true
	return true
}

// checkHistory checks that what the calls saw of each object is linearizable, and of each tag with its manifests.
func (w *world) checkHistory(memory *judged) {
	objects := map[string][]fact{}
	for _, f := range w.history {
		objects[f.object] = append(objects[f.object], f)
	}
	for object, facts := range objects {
		facts = w.relevant(facts)
		slices.SortStableFunc(facts, func(a, b fact) int { return int(a.call - b.call) })
		if !memory.judge(canonical(facts), func() bool { return linearizable(facts) }) {
			w.breaks("not linearizable: %s\n%s", object, describe(facts))
		}
	}
	w.checkPairs(memory)
}

// relevant leaves out what can be no explanation: a push that is refused leaves its manifest, unacknowledged and without a tag, only when
// something was deleted meanwhile, so that its second look at the references found less than its first.
func (w *world) relevant(facts []fact) []fact {
	return slices.DeleteFunc(slices.Clone(facts), func(f fact) bool {
		return f.do == doLeft && f.n != lateLook && !w.deletedBetween(f.call, f.end)
	})
}

// deletedBetween reports whether a delete of anything went on at a time between two.
func (w *world) deletedBetween(call, ret int64) bool {
	return slices.ContainsFunc(w.history, func(d fact) bool {
		return (d.do == doClear || d.do == doAbsence || d.do == doCollected) && d.call < ret && call < d.ret
	})
}

// canonical writes a history with its times as ranks.
func canonical(facts []fact) string {
	times := make([]int64, 0, 2*len(facts))
	for _, f := range facts {
		times = append(times, f.call, f.ret)
	}
	slices.Sort(times)
	times = slices.Compact(times)
	var b strings.Builder
	for _, f := range facts {
		call, _ := slices.BinarySearch(times, f.call)
		ret, _ := slices.BinarySearch(times, f.ret)
		fmt.Fprintf(&b, "%s|%s|%s|%d|%d|%t|%d|%d\n", f.object, f.do, f.arg, f.n, f.after, f.unknown, call, ret)
	}
	return b.String()
}

func describe(facts []fact) string {
	var b strings.Builder
	for _, f := range facts {
		end := "…"
		if f.ret != never {
			end = fmt.Sprint(f.ret / 2)
		}
		fmt.Fprintf(&b, "        %s from %d to %s: %s\n", f.by, f.call/2, end, f)
	}
	return b.String()
}

func linearizable(facts []fact) bool {
	model := porcupine.NondeterministicModel{
		Init:  func() []any { return []any{""} },
		Step:  func(state, input, _ any) []any { return stepRegister(state.(string), input.(fact)) },
		Equal: func(a, b any) bool { return a == b },
	}
	if strings.HasPrefix(facts[0].object, "upload ") {
		model.Init = func() []any { return []any{upload{}} }
		model.Step = func(state, input, _ any) []any { return stepUpload(state.(upload), input.(fact)) }
	}
	ops := make([]porcupine.Operation, len(facts))
	for i, f := range facts {
		ops[i] = porcupine.Operation{ClientId: i, Input: f, Call: f.call, Return: f.ret}
	}
	return porcupine.CheckOperations(model.ToModel(), ops)
}

// stepRegister is the model of a tag, a manifest or a blob: a value, or none.
func stepRegister(state string, f fact) []any {
	when := func(ok bool, next string) []any {
		if ok {
			return []any{next}
		}
		return nil
	}
	switch f.do {
	case doSet, doLeft:
		return []any{f.arg}
	case doSetNew:
		if f.unknown && state != "" {
			return []any{state}
		}
		return when(state == "" || state == f.arg, f.arg)
	case doNot:
		return when(state != f.arg, state)
	case doClear:
		return when(state != "", "")
	case doAbsence, doCollected:
		return []any{""}
	case doClearIf:
		if state == f.arg {
			return []any{""}
		}
		return []any{state}
	case doRead, doFinal:
		return when(state == f.arg, state)
	case doMissing:
		return when(state == "", state)
	}
	panic("simulate: no such fact: " + f.do)
}

// upload is the model of an upload: it becomes one blob, or is cancelled, and is over from then on.
type upload struct {
	content   string
	committed string
	cancelled bool
}

func stepUpload(s upload, f fact) []any {
	next, possible := s.after(f)
	switch {
	case f.unknown && possible:
		return []any{next, s}
	case f.unknown:
		return []any{s}
	case possible:
		return []any{next}
	}
	return nil
}

// after returns the upload after a fact, and whether the fact is possible.
func (s upload) after(f fact) (upload, bool) {
	answers := !s.cancelled && s.committed == ""
	switch f.do {
	case doAppend:
		if !answers || f.n >= 0 && f.n != int64(len(s.content)) {
			return s, false
		}
		s.content += f.arg
		return s, f.unknown || f.after == int64(len(s.content))
	case doOffset:
		return s, answers && f.n == int64(len(s.content))
	case doGone:
		return s, s.cancelled || s.committed != ""
	case doCommit, doMismatch:
		blob, last, _ := strings.Cut(f.arg, "|")
		matches := digest.FromString(s.content+last) == blobDigest(blob)
		if f.do == doMismatch {
			return s, answers && !matches
		}
		if s.committed == blob {
			return s, true
		}
		s.committed = blob
		return s, answers && matches
	case doCancel:
		s.cancelled = true
		return s, answers
	case doHolds:
		return s, f.arg == s.content
	}
	panic("simulate: no such fact: " + f.do)
}
