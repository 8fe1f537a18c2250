package recent

import (
	"sync"
	"time"
)

// A minute is kept in slots, each of the same span. What is told is of the slot that goes on and of those before it: 55 to 60 seconds.
const (
	slots    = 12
	slotSpan = 5 * time.Second
)

// Span is of how long the numbers are, at most.
const Span = slots * slotSpan

// window keeps a T for each slot of the last minute.
type window[T any] struct {
	mu    sync.Mutex
	born  time.Time // of the first use, with a monotonic reading
	at    int64     // the number of the slot that goes on
	kept  [slots]T
	empty T
}

// add changes the slot that goes on.
func (w *window[T]) add(change func(*T)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	change(&w.kept[w.at%slots])
}

// each calls see with every slot of the last minute.
func (w *window[T]) each(see func(*T)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	for i := range w.kept {
		see(&w.kept[i])
	}
}

// turn empties the slots that have become too old.
func (w *window[T]) turn() {
	if w.born.IsZero() {
		w.born = time.Now()
	}
	now := int64(time.Since(w.born) / slotSpan)
	for n := max(w.at+1, now-slots+1); n <= now; n++ {
		w.kept[n%slots] = w.empty
	}
	w.at = max(w.at, now)
}
