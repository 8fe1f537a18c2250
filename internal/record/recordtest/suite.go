package recordtest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"
	"testing"

	"holdfast/internal/record"
)

// maxParallel is how many requests the suite has under way at once.
const maxParallel = 16

// Options says what a driver gives beyond the least that the contract asks for. The zero value is the
// least.
type Options struct {
	// ConditionalDelete says that Delete decides IfVersion: ErrUnsupported fails the suite then.
	ConditionalDelete bool
}

// Run runs the suite with zero Options. open is called once; what it opens is closed by its own t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) record.Store) {
	t.Helper()
	Options{}.Run(t, open)
}

// Run runs the suite.
func (o Options) Run(t *testing.T, open func(t *testing.T) record.Store) {
	t.Helper()
	store := open(t)
	below := "recordtest/" + random(t)
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"get of an absent key is ErrNotFound", (*suite).getAbsent},
		{"create, then create again conflicts", (*suite).create},
		{"swap takes the current version only", (*suite).swap},
		{"an invalid condition writes nothing", (*suite).invalidCondition},
		{"the store keeps no reference to a value", (*suite).noAliasing},
		{"values of all sizes come back exactly", (*suite).sizes},
		{"Modified never goes backward and is near Now", (*suite).modified},
		{"Now goes on", (*suite).now},

		{"delete always", (*suite).deleteAlways},
		{"delete of a version", (*suite).deleteVersion},
		{"delete of a version races swaps", (*suite).deleteRace},

		{"list is in byte order", (*suite).listOrder},
		{"list of every printable character", (*suite).listCharacters},
		{"list is of one folder", (*suite).listFolder},
		{"list after a key", (*suite).listAfter},
		{"list tells what get tells", (*suite).listStamps},
		{"list sees every acknowledged write", (*suite).listFresh},
		{"list of more than a page", (*suite).listPages},

		{"a context that has ended", (*suite).endedContext},

		{"one creator wins", (*suite).raceCreate},
		{"one swapper wins", (*suite).raceSwap},
		{"a counter loses nothing", (*suite).raceCounter},
		{"lists and reads beside writers", (*suite).raceList},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&suite{T: t, Options: o, store: store, prefix: record.Key(below + "/" + random(t) + "/")})
		})
	}
}

// suite is what one test of the suite works with.
type suite struct {
	*testing.T
	Options
	store  record.Store
	prefix record.Key // this test's own, ends in '/'
}

// key returns a key below the test's prefix.
func (s *suite) key(name string) record.Key { return s.prefix + record.Key(name) }

// random returns 24 hex digits.
func random(t *testing.T) string {
	t.Helper()
	return hex.EncodeToString(nonce(t, 12))
}

// nonce returns a value of size random bytes: no two of 8 bytes or more are equal.
func nonce(t *testing.T, size int) []byte {
	t.Helper()
	value := make([]byte, size)
	if _, err := rand.Read(value); err != nil {
		t.Fatal(err)
	}
	return value
}

// mustCreate creates the key with a random value of size bytes.
func (s *suite) mustCreate(key record.Key, size int) ([]byte, record.Stamp) {
	s.Helper()
	value := nonce(s.T, size)
	stamp, err := s.store.Put(s.Context(), key, value, record.IfAbsent())
	if err != nil {
		s.Fatalf("create %s: %v", key, err)
	}
	if stamp.Version == "" {
		s.Fatalf("create %s: the version is empty", key)
	}
	return value, stamp
}

// mustSwap replaces the value at version by a random one of 64 bytes.
func (s *suite) mustSwap(key record.Key, version record.Version) ([]byte, record.Stamp) {
	s.Helper()
	value := nonce(s.T, 64)
	stamp, err := s.store.Put(s.Context(), key, value, record.IfVersion(version))
	if err != nil {
		s.Fatalf("swap %s: %v", key, err)
	}
	if stamp.Version == "" {
		s.Fatalf("swap %s: the version is empty", key)
	}
	return value, stamp
}

// mustGet reads a key that is there.
func (s *suite) mustGet(key record.Key) record.Record {
	s.Helper()
	rec, err := s.store.Get(s.Context(), key)
	if err != nil {
		s.Fatalf("get %s: %v", key, err)
	}
	return rec
}

// wantValue checks that the key holds value at version.
func (s *suite) wantValue(key record.Key, value []byte, version record.Version) {
	s.Helper()
	rec := s.mustGet(key)
	if !bytes.Equal(rec.Value, value) {
		s.Fatalf("get %s: %d bytes, not the %d that were acknowledged", key, len(rec.Value), len(value))
	}
	if rec.Version != version {
		s.Fatalf("get %s: version %q, want %q, which the write returned", key, rec.Version, version)
	}
}

// wantAbsent checks that the key holds nothing.
func (s *suite) wantAbsent(key record.Key) {
	s.Helper()
	rec, err := s.store.Get(s.Context(), key)
	s.wantError("get "+string(key), err, record.ErrNotFound)
	if rec.Value != nil || rec.Version != "" {
		s.Fatalf("get %s: a record beside the error: %+v", key, rec)
	}
}

// wantError checks that err is target.
func (s *suite) wantError(what string, err, target error) {
	s.Helper()
	if !errors.Is(err, target) {
		s.Fatalf("%s: %v, want an error that is %q", what, err, target)
	}
}

// list returns what a list yields, and checks what holds for every list: order, prefix, after.
func (s *suite) list(prefix, after record.Key) []record.Entry {
	s.Helper()
	var entries []record.Entry
	last := after
	for entry, err := range s.store.List(s.Context(), prefix, after) {
		if err != nil {
			s.Fatalf("list %s after %q: %v", prefix, after, err)
		}
		if entry.Key <= last {
			s.Fatalf("list %s after %q: %q came after %q", prefix, after, entry.Key, last)
		}
		if len(entry.Key) <= len(prefix) || entry.Key[:len(prefix)] != prefix {
			s.Fatalf("list %s after %q: %q is not below it", prefix, after, entry.Key)
		}
		last = entry.Key
		entries = append(entries, entry)
	}
	return entries
}

// names returns the keys of the entries without the test's prefix, never nil.
func (s *suite) names(entries []record.Entry) []string {
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, string(entry.Key[len(s.prefix):]))
	}
	return names
}

// inParallel calls do(0) to do(n-1), maxParallel at a time, and waits. do must not call Fatal.
func inParallel(n int, do func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxParallel)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}

// atOnce calls do(0) to do(n-1) from n goroutines that begin together, and waits. do must not call Fatal.
func atOnce(n int, do func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	wg.Wait()
}
