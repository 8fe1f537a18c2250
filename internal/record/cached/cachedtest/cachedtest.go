// Package cachedtest is the suite that every driver of a shared cache passes, against a real server.
package cachedtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"holdfast/internal/record/cached"
)

// Run runs the suite. open returns a cache that can be used, on the same server each time; the suite closes it. Keys are new ones in each run.
func Run(t *testing.T, open func(t *testing.T) cached.Cache) {
	for name, test := range map[string]func(*testing.T, cached.Cache){
		"Values": values, "Large": large, "Many": many, "Overwritten": overwritten, "Deleted": deleted, "Ends": ends,
		"Counter": counter, "CountersAtOnce": countersAtOnce, "CounterEnds": counterEnds, "GivenUp": givenUp, "ValueIsTheCallers": callersValue,
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t)
			t.Cleanup(func() {
				for range 2 {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}
			})
			test(t, c)
		})
	}
}

func newKey() string { return "t:" + rand.Text() + "-_" }

func get(t *testing.T, c cached.Cache, keys ...string) [][]byte {
	t.Helper()
	values, err := c.Get(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	if len(values) != len(keys) {
		t.Fatalf("%d values of %d keys", len(values), len(keys))
	}
	return values
}

func set(t *testing.T, c cached.Cache, key string, value []byte) {
	t.Helper()
	if err := c.Set(t.Context(), key, value, time.Hour); err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
		t.Errorf("got %.40q (%d bytes), want %.40q", got, len(got), want)
	}
}

// Values come back, in the order of the keys, and nil where there is none; a key may be asked for twice.
func values(t *testing.T, c cached.Cache) {
	a, b, none := newKey(), newKey(), newKey()
	all := []byte{0, 255, '\r', '\n', 0}
	set(t, c, a, all)
	set(t, c, b, []byte("b"))
	got := get(t, c, none, b, a, b)
	for i, want := range [][]byte{nil, []byte("b"), all, []byte("b")} {
		same(t, got[i], want)
	}
	same(t, get(t, c, none)[0], nil)
	same(t, get(t, c, a)[0], all)
	if got, err := c.Get(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("no keys: %v, %v", got, err)
	}
}

func large(t *testing.T, c cached.Cache) {
	value := make([]byte, cached.MaxValue)
	_, _ = rand.Read(value) // has no errors
	key := newKey()
	set(t, c, key, value)
	same(t, get(t, c, key)[0], value)
}

// Many keys are more than one request of some servers has room for.
func many(t *testing.T, c cached.Cache) {
	var keys []string
	for i := range 230 {
		keys = append(keys, newKey())
		set(t, c, keys[i], []byte{byte(i), 1})
	}
	for i, value := range get(t, c, keys...) {
		same(t, value, []byte{byte(i), 1})
	}
	if err := c.Delete(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	for _, value := range get(t, c, keys...) {
		same(t, value, nil)
	}
}

func overwritten(t *testing.T, c cached.Cache) {
	key := newKey()
	set(t, c, key, []byte("one"))
	set(t, c, key, []byte("two"))
	same(t, get(t, c, key)[0], []byte("two"))
}

func deleted(t *testing.T, c cached.Cache) {
	key := newKey()
	set(t, c, key, []byte("one"))
	for range 2 {
		if err := c.Delete(t.Context(), key, newKey()); err != nil {
			t.Fatal(err)
		}
		same(t, get(t, c, key)[0], nil)
	}
	if err := c.Delete(t.Context()); err != nil {
		t.Error(err)
	}
}

// A time to live of the least that there is: the value is there at once.
func ends(t *testing.T, c cached.Cache) {
	key := newKey()
	if err := c.Set(t.Context(), key, []byte("short"), time.Second); err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, c cached.Cache, key string, n int64, ttl time.Duration) int64 {
	t.Helper()
	count, err := c.Add(t.Context(), key, n, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func counter(t *testing.T, c cached.Cache) {
	key := newKey()
	for i, want := range []int64{3, 6, 9} {
		if got := add(t, c, key, 3, time.Hour); got != want {
			t.Errorf("after %d additions of 3: %d", i+1, got)
		}
	}
	if got := add(t, c, key, -2, time.Hour); got != 7 {
		t.Errorf("9 and -2: %d", got)
	}
	if got := add(t, c, newKey(), 1, time.Hour); got != 1 {
		t.Errorf("another counter: %d", got)
	}
}

// No addition is lost, and each sees another sum.
func countersAtOnce(t *testing.T, c cached.Cache) {
	const clients, each = 8, 20
	key := newKey()
	var mu sync.Mutex
	seen := map[int64]bool{}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				n, err := c.Add(t.Context(), key, 1, time.Hour)
				mu.Lock()
				if err != nil || seen[n] {
					t.Errorf("%d (seen: %v), %v", n, seen[n], err)
				}
				seen[n] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if n := add(t, c, key, 0, time.Hour); n != clients*each {
		t.Errorf("the sum is %d, want %d", n, clients*each)
	}
}

// A counter ends its time after its first addition, whatever comes after that. It is waited for: the server's clock is its own.
func counterEnds(t *testing.T, c cached.Cache) {
	key := newKey()
	add(t, c, key, 100, time.Second)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		n := add(t, c, key, 1, time.Second)
		if n == 1 {
			return
		}
		if n <= 100 || time.Now().After(end) {
			t.Fatalf("the counter goes on: %d", n)
		}
	}
}

// A caller that has given up gets its context's error at once, and those after it their values.
func givenUp(t *testing.T, c cached.Cache) {
	key := newKey()
	set(t, c, key, []byte("v"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ended, []string{key}); err == nil {
		t.Error("a call of a context that has ended has no error")
	}
	for range 20 {
		hurried, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		_, _ = c.Get(hurried, []string{key}) // it may have been quick enough
		cancel()
	}
	same(t, get(t, c, key)[0], []byte("v"))
}

// What the caller does with its bytes afterwards changes nothing.
func callersValue(t *testing.T, c cached.Cache) {
	key, value := newKey(), []byte("before")
	set(t, c, key, value)
	copy(value, "after!")
	got := get(t, c, key)[0]
	same(t, got, []byte("before"))
	copy(got, "XXXXXX")
	same(t, get(t, c, key)[0], []byte("before"))
}
