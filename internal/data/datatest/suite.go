package datatest

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"holdfast/internal/data"
)

// Options says what the suite should know of a driver. The zero value suits most.
type Options struct {
	// PartSize is the size in bytes at which the driver divides what it is given, so that the suite
	// tries the sizes around it. Zero means 1 MiB.
	PartSize int64
	// MaxBytes is what one segment takes before Write answers ErrFull, at least 24 MiB and four parts,
	// for a store opened so that it is reached soon. Zero means that the suite does not try.
	MaxBytes int64
}

// Run runs the suite with zero Options. open is called once; what it opens is closed by its own t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) data.Store) {
	t.Helper()
	Options{}.Run(t, open)
}

// Run runs the suite.
func (o Options) Run(t *testing.T, open func(t *testing.T) data.Store) {
	t.Helper()
	if o.PartSize == 0 {
		o.PartSize = 1 << 20
	}
	store := open(t)
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"what was never written is ErrNotFound", (*suite).absent},
		{"a segment is read whole and in ranges", (*suite).ranges},
		{"a range past the end is no clean read", (*suite).pastEnd},
		{"nothing is visible before Commit", (*suite).invisible},
		{"Abort leaves nothing", (*suite).abort},
		{"Abort after Commit does nothing", (*suite).abortAfterCommit},
		{"a writer that has ended takes nothing", (*suite).ended},
		{"the writer keeps no reference", (*suite).noAliasing},
		{"an empty segment", (*suite).empty},
		{"sizes around a part", (*suite).sizes},
		{"20 MiB in odd writes", (*suite).large},
		{"a full segment", (*suite).full},

		{"many readers of one segment", (*suite).readers},
		{"many writers", (*suite).writers},

		{"Delete", (*suite).remove},
		{"List is in order, after an id", (*suite).list},
		{"List sees every commit", (*suite).listFresh},
		{"Sweep leaves what is committed and what is young", (*suite).sweep},

		{"a context that has ended", (*suite).endedContext},
		{"a context that ends mid-write", (*suite).cancelledWrite},
		{"a context that ends before Commit", (*suite).cancelledCommit},
		{"a context that ends mid-read", (*suite).cancelledRead},
		{"PresignedURL", (*suite).presigned},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(&suite{T: t, Options: o, store: store}) })
	}
}

// suite is what one test of the suite works with.
type suite struct {
	*testing.T
	Options
	store data.Store
}

// newID returns an id that was never used. It is removed when the test ends.
func (s *suite) newID() data.ID { return s.newIDBelow("") }

// newIDBelow returns an id that begins with prefix.
func (s *suite) newIDBelow(prefix string) data.ID {
	s.Helper()
	raw := make([]byte, 16)
	if _, err := cryptorand.Read(raw); err != nil {
		s.Fatal(err)
	}
	id := data.ID(prefix + hex.EncodeToString(raw)[len(prefix):])
	s.Cleanup(func() {
		// s.Context has ended by now.
		if err := s.store.Delete(context.Background(), id); err != nil {
			s.Errorf("delete %s: %v", id, err)
		}
	})
	return id
}

// randomBytes returns size bytes that no other call returns.
func (s *suite) randomBytes(size int64) []byte {
	s.Helper()
	var seed [32]byte
	if _, err := cryptorand.Read(seed[:]); err != nil {
		s.Fatal(err)
	}
	content := make([]byte, size)
	if _, err := rand.NewChaCha8(seed).Read(content); err != nil {
		s.Fatal(err)
	}
	return content
}

// mustBegin begins a segment.
func (s *suite) mustBegin(id data.ID) data.Writer {
	s.Helper()
	w, err := s.store.Create(s.Context(), id)
	if err != nil {
		s.Fatalf("create %s: %v", id, err)
	}
	return w
}

// mustWrite writes content, step bytes at a time.
func (s *suite) mustWrite(w io.Writer, content []byte, step int) {
	s.Helper()
	for len(content) > 0 {
		part := content[:min(step, len(content))]
		n, err := w.Write(part)
		if n != len(part) || err != nil {
			s.Fatalf("write of %d bytes: %d, %v", len(part), n, err)
		}
		content = content[n:]
	}
}

// mustCommit commits and checks the size.
func (s *suite) mustCommit(w data.Writer, want int64) {
	s.Helper()
	size, err := w.Commit(s.Context())
	if err != nil {
		s.Fatalf("commit: %v", err)
	}
	if size != want {
		s.Fatalf("commit reports %d bytes, want %d", size, want)
	}
}

// mustStore writes a segment of its own.
func (s *suite) mustStore(content []byte) data.ID {
	s.Helper()
	id := s.newID()
	s.mustStoreAs(id, content)
	return id
}

func (s *suite) mustStoreAs(id data.ID, content []byte) {
	s.Helper()
	w := s.mustBegin(id)
	s.mustWrite(w, content, 64<<10)
	s.mustCommit(w, int64(len(content)))
}

// read opens a range and reads it to its end. On an error of the read, the bytes before it are returned.
func (s *suite) read(id data.ID, offset, length int64) ([]byte, error) {
	s.Helper()
	r, err := s.store.Open(s.Context(), id, offset, length)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	return content, errors.Join(err, r.Close())
}

// wantRange checks a range against the segment's content.
func (s *suite) wantRange(id data.ID, content []byte, offset, length int64) {
	s.Helper()
	want := content[offset:]
	if length >= 0 {
		want = want[:length]
	}
	r, err := s.store.Open(s.Context(), id, offset, length)
	if err == nil {
		err = errors.Join(compare(r, want), r.Close())
	}
	if err != nil {
		s.Fatalf("read %d+%d of %d bytes: %v", offset, length, len(content), err)
	}
}

// compare reads r to its end and returns an error unless it gave want and ended cleanly.
func compare(r io.Reader, want []byte) error {
	buffer := make([]byte, 256<<10)
	for at := 0; ; {
		n, err := r.Read(buffer)
		if n > len(want)-at || !bytes.Equal(buffer[:n], want[at:at+n]) {
			return fmt.Errorf("the bytes from %d to %d are not the ones written", at, at+n)
		}
		at += n
		switch {
		case err == io.EOF && at == len(want): // a clean end is io.EOF itself, which callers compare
			return nil
		case err != nil:
			return fmt.Errorf("after %d of %d bytes: %w", at, len(want), err)
		}
	}
}

// wantSegment checks the size of a segment and all its bytes.
func (s *suite) wantSegment(id data.ID, content []byte) {
	s.Helper()
	size, err := s.store.Stat(s.Context(), id)
	if err != nil || size != int64(len(content)) {
		s.Fatalf("stat: %d, %v, want %d bytes", size, err, len(content))
	}
	s.wantRange(id, content, 0, -1)
}

// wantAbsent checks that no call finds the segment.
func (s *suite) wantAbsent(id data.ID) {
	s.Helper()
	r, err := s.store.Open(s.Context(), id, 0, -1)
	if err == nil {
		err = errors.Join(errors.New("it opens"), r.Close())
	}
	s.wantError("open", err, data.ErrNotFound)
	_, err = s.store.Stat(s.Context(), id)
	s.wantError("stat", err, data.ErrNotFound)
	if entries := s.listBelow(string(id), before(id)); len(entries) != 0 {
		s.Fatalf("list: %v, which should not be there", entries)
	}
}

// wantError checks that err is target.
func (s *suite) wantError(what string, err, target error) {
	s.Helper()
	if !errors.Is(err, target) {
		s.Fatalf("%s: %v, want an error that is %q", what, err, target)
	}
}

// listBelow returns the entries after an id that begin with prefix, and stops at the first that is greater.
func (s *suite) listBelow(prefix string, after data.ID) []data.Entry {
	s.Helper()
	var entries []data.Entry
	last := after
	for entry, err := range s.store.List(s.Context(), after) {
		if err != nil {
			s.Fatalf("list after %q: %v", after, err)
		}
		if entry.ID <= last {
			s.Fatalf("list after %q: %s came after %s", after, entry.ID, last)
		}
		last = entry.ID
		head := string(entry.ID[:min(len(prefix), len(entry.ID))])
		if head > prefix {
			break
		}
		if head == prefix {
			entries = append(entries, entry)
		}
	}
	return entries
}

// before returns an id smaller than id, with few or no others between them.
func before(id data.ID) data.ID {
	raw := []byte(id)
	for i := len(raw) - 1; i >= 0; i-- {
		switch raw[i] {
		case '0':
			raw[i] = 'f'
			continue
		case 'a':
			raw[i] = '9'
		default:
			raw[i]--
		}
		return data.ID(raw)
	}
	return "" // id was all zeros
}
