package simulate

// trace sums up which operations were performed and in which order those that depend on one another were:
// two runs with the same sum are in the same state, whatever else differs in their orders. Operations on
// different keys commute. What depends on what:
//
//   - an operation on the operations of the same key before it, two reads excepted; a list on the writes
//     in its folder, and they on it;
//   - an operation on the step that made it appear, since its goroutine waited for that;
//   - an operation on those of other calls at the same replica: they share its memory; and at others, where replicas share a cache;
//   - the begin of a call on the calls that had returned: a history tells them apart;
//   - the passing of time on everything, and everything on it: ages decide what operations do.
type trace struct {
	sum     uint64
	last    uint64            // the last step
	passed  uint64            // the last time that time passed
	keys    map[string]access // by key
	folders map[string]access
	calls   map[*incarnation]map[*call]uint64
	shared  bool // replicas share a cache
}

type access struct{ write, reads uint64 }

func newTrace() trace {
	return trace{
		last: 1, keys: map[string]access{}, folders: map[string]access{}, calls: map[*incarnation]map[*call]uint64{},
	}
}

// hash is what performing an operation adds to the trace.
func (t *trace) hash(w *world, o *op, f fault) uint64 {
	h := mix(mix(mix(hashString(o.name), uint64(f)), o.cause), t.passed)
	key := t.keys[o.key]
	var written, read uint64 // of the folders
	for _, folder := range o.folders {
		written, read = written+t.folders[folder].write, read+t.folders[folder].reads
	}
	switch {
	case o.verb == verbBegin:
		var returned uint64
		for name := range w.facts {
			returned += hashString(name)
		}
		return mix(h, returned)
	case o.verb == verbPass:
		return mix(h, t.sum)
	case o.verb == verbList:
		h = mix(h, written)
	case o.verb.writes():
		h = mix(mix(h, key.write), mix(key.reads, read))
	default:
		h = mix(h, key.write)
	}
	for in, calls := range t.calls {
		if in != o.by.in && !t.shared {
			continue
		}
		for k, sum := range calls {
			if k != o.by {
				h += mix(sum, 7)
			}
		}
	}
	return h
}

// crash is what a replica's death adds: it depends on all that the replica has done, not on what it would
// have done next. more is the last thing that by does.
func (t *trace) crash(in *incarnation, by *call, more uint64) uint64 {
	h := uint64(in.replica + 1)
	known := false
	for k, sum := range t.calls[in] {
		if k == by {
			sum, known = sum+more, true
		}
		h += mix(sum, 13)
	}
	if !known && more != 0 {
		h += mix(more, 13)
	}
	return mix(h, 17)
}

// after returns the state that a choice leads to.
func (t *trace) after(w *world, o *op, f fault) uint64 {
	sum := t.sum
	h := uint64(0)
	if f != faultCrashBefore {
		h = t.hash(w, o, f.kept())
		sum += mix(h, 11)
	}
	if f.crashes() {
		sum += t.crash(o.by.in, o.by, h)
	}
	current := w.current
	if !o.late && !o.givenUp {
		current = o.by.client
	}
	return stateOf(sum, current)
}

// step notes that an operation was performed.
func (t *trace) step(w *world, o *op, f fault) {
	if f != faultCrashBefore {
		h := t.hash(w, o, f.kept())
		t.note(o, h)
		t.sum += mix(h, 11)
		t.last = h
	}
	if f.crashes() {
		t.last = t.crash(o.by.in, nil, 0)
		t.sum += t.last
	}
}

func (t *trace) note(o *op, h uint64) {
	key := t.keys[o.key]
	switch {
	case o.verb == verbBegin:
		return
	case o.verb == verbPass:
		t.passed = h
		return
	case o.verb == verbList:
		for _, name := range o.folders {
			folder := t.folders[name]
			folder.reads += h
			t.folders[name] = folder
		}
	case o.verb.writes():
		t.keys[o.key] = access{write: h}
		for _, name := range o.folders {
			folder := t.folders[name]
			folder.write += h
			t.folders[name] = folder
		}
	default:
		key.reads += h
		t.keys[o.key] = key
	}
	calls := t.calls[o.by.in]
	if calls == nil {
		calls = map[*call]uint64{}
		t.calls[o.by.in] = calls
	}
	calls[o.by] += h
}

// kept is the fault as the operation itself saw it.
func (f fault) kept() fault {
	if f == faultCrashAfter {
		return faultNone
	}
	return f
}

func (f fault) crashes() bool {
	return f == faultCrashBefore || f == faultCrashAfter || f == faultCrashLate
}

// state is the sum with what else decides how a run goes on.
func (t *trace) state(w *world) uint64 { return stateOf(t.sum, w.current) }

func stateOf(sum uint64, current int) uint64 { return mix(sum, uint64(current+2)) }

func mix(a, b uint64) uint64 {
	h := (a ^ b*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
	return h ^ h>>32
}

func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
