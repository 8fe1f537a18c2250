// Package fresh remembers what a store said for a moment, so that what is asked with every request is not read with every request, and what another
// replica changed holds here soon. It is not a cache of what is true: what is too old is asked again, and when that fails there is no answer.
package fresh

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// MaxAge is how old an answer may be that is still given: what is written to the store holds at every replica after that.
const MaxAge = 2 * time.Second

const (
	renewAge = MaxAge / 2       // an older answer is given, and asked for again beside that
	loadTime = 10 * time.Second // one read of the store
)

// Memory holds the answers for some keys. Safe for concurrent use.
type Memory[K comparable, V any] struct {
	load func(context.Context, K) (V, error)

	mu      sync.Mutex
	answers *simplelru.LRU[K, answer[V]]
	loads   map[K]*loading[V]
}

// answer is what a read said that began at a time, by this process's monotonic clock.
type answer[V any] struct {
	value V
	began time.Time
}

// loading is a read that goes on. Its fields are set before done is closed.
type loading[V any] struct {
	done  chan struct{}
	began time.Time
	value V
	err   error
}

// New returns a memory for so many keys at most, of what load reads.
func New[K comparable, V any](most int, load func(context.Context, K) (V, error)) *Memory[K, V] {
	answers, err := simplelru.NewLRU[K, answer[V]](most, nil)
	if err != nil {
		panic(err) // most is a constant of ours
	}
	return &Memory[K, V]{load: load, answers: answers, loads: map[K]*loading[V]{}}
}

// Get returns what the store said of a key MaxAge ago at most, or since the call. All that ask for a key at once share one read, which does not end with the
// one that asked first.
// Errors: those of load, and ctx's.
func (m *Memory[K, V]) Get(ctx context.Context, key K) (V, error) {
	var none V
	for called := time.Now(); ; {
		m.mu.Lock()
		known, found := m.answers.Get(key)
		age := time.Since(known.began)
		if found && age <= renewAge {
			m.mu.Unlock()
			return known.value, nil
		}
		l := m.loads[key]
		if l == nil {
			l = m.start(ctx, key)
		}
		m.mu.Unlock()
		if found && age <= MaxAge {
			return known.value, nil
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return none, ctx.Err()
		}
		if l.err != nil {
			return none, l.err
		}
		if !l.began.Before(called) || time.Since(l.began) <= MaxAge {
			return l.value, nil
		} // else it took so long that what it says may be old
	}
}

// start begins a read. The caller holds the lock. An error is not remembered.
func (m *Memory[K, V]) start(ctx context.Context, key K) *loading[V] {
	l := &loading[V]{done: make(chan struct{}), began: time.Now()}
	m.loads[key] = l
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime)
		defer cancel()
		l.value, l.err = m.load(ctx, key)
		m.mu.Lock()
		if m.loads[key] == l { // else the key was forgotten meanwhile: what was read may be from before
			if l.err == nil {
				m.answers.Add(key, answer[V]{l.value, l.began})
			}
			delete(m.loads, key)
		}
		m.mu.Unlock()
		close(l.done)
	}()
	return l
}

// Peek returns the answer for a key that is remembered, however old, without asking.
func (m *Memory[K, V]) Peek(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, found := m.answers.Peek(key)
	return known.value, found
}

// Forget has a key read again when it is asked for next: this process has just written it.
func (m *Memory[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers.Remove(key)
	delete(m.loads, key)
}
