package simulate

import (
	"io"

	"holdfast/internal/data"
	"holdfast/internal/record"
)

// Rot damages the stored bytes of a blob: from then on its segments are read with other bytes.
func Rot(blob string) Call {
	return Call{Name: "the bytes of " + blob + " rot", Do: func(e *Env) {
		for _, repo := range e.world.scenario.Repositories {
			e.saw(fact{object: blobObject(repo, blob), do: doAbsence, unknown: true}) // once somebody reads it
		}
		e.world.mu.Lock()
		defer e.world.mu.Unlock()
		if v := e.world.mirror.values[recordKey(blob)]; v != nil {
			for _, s := range v.head.Segments {
				e.world.mirror.rotten[s.ID] = true
			}
		}
	}, Once: true}
}

// rotted is a reader of a segment whose bytes are damaged.
type rotted struct{ io.ReadCloser }

func (r rotted) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	for i := range p[:n] {
		p[i] ^= 1
	}
	return n, err
}

// openSegment opens a segment as it is stored now.
func (w *world) openSegment(id data.ID, offset, length int64) (io.ReadCloser, error) {
	r, err := w.segments.Open(w.ctx, id, offset, length)
	if err == nil && w.mirror.rotten[id] {
		return rotted{r}, nil
	}
	return r, err
}

// checkDamaged checks, of a run in which nothing else went wrong, that no link still shows bytes that were found
// to be damaged: clients would take them for there.
func (w *world) checkDamaged() {
	for f, n := range w.injected {
		if fault(f) != faultNone && n > 0 {
			return
		}
	}
	for key, v := range w.mirror.values {
		if key[0] == 'l' && v.present() && w.mirror.namesDamaged(key, v) {
			w.breaks("%s is %s, and its bytes were found damaged", w.keyName(key), v.head.State)
		}
	}
}

func (m *mirror) namesDamaged(key record.Key, v *value) bool {
	for id := range m.named(key, v) {
		if m.damaged[id] {
			return true
		}
	}
	return false
}
