package recordtest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"holdfast/internal/record"
)

// resolution is the coarsest store clock that the contract allows: S3 tells times in seconds.
const resolution = time.Second

func (s *suite) getAbsent() {
	s.wantAbsent(s.key("absent"))
	s.wantAbsent(s.key("folder/absent"))
}

func (s *suite) create() {
	key := s.key("k")
	value, stamp := s.mustCreate(key, 64)
	s.wantValue(key, value, stamp.Version)

	_, err := s.store.Put(s.Context(), key, nonce(s.T, 64), record.IfAbsent())
	s.wantError("create again", err, record.ErrConflict)
	s.wantValue(key, value, stamp.Version)
}

func (s *suite) swap() {
	key := s.key("k")
	_, first := s.mustCreate(key, 64)
	value, second := s.mustSwap(key, first.Version)
	s.wantValue(key, value, second.Version)

	_, err := s.store.Put(s.Context(), key, nonce(s.T, 64), record.IfVersion(first.Version))
	s.wantError("swap of a version that has gone", err, record.ErrConflict)
	s.wantValue(key, value, second.Version)

	absent := s.key("absent")
	_, err = s.store.Put(s.Context(), absent, nonce(s.T, 64), record.IfVersion(second.Version))
	s.wantError("swap of an absent key", err, record.ErrConflict)
	s.wantAbsent(absent)

	versions := []record.Version{first.Version, second.Version}
	for range 6 {
		_, stamp := s.mustSwap(key, versions[len(versions)-1])
		if slices.Contains(versions, stamp.Version) {
			s.Fatalf("version %q came twice", stamp.Version)
		}
		versions = append(versions, stamp.Version)
	}
}

func (s *suite) invalidCondition() {
	absent, key := s.key("absent"), s.key("k")
	value, stamp := s.mustCreate(key, 64)
	for _, cond := range []record.Cond{{}, record.Always()} {
		for _, k := range []record.Key{absent, key} {
			if _, err := s.store.Put(s.Context(), k, nonce(s.T, 64), cond); err == nil {
				s.Errorf("put %s %s: no error", k, cond)
			}
		}
	}
	for _, cond := range []record.Cond{{}, record.IfAbsent()} {
		if err := s.store.Delete(s.Context(), key, cond); err == nil {
			s.Errorf("delete %s: no error", cond)
		}
	}
	s.wantAbsent(absent)
	s.wantValue(key, value, stamp.Version)
}

// noAliasing reuses the buffer of a put at once, as callers with pooled buffers do.
func (s *suite) noAliasing() {
	key := s.key("k")
	buffer := nonce(s.T, 4096)
	want := bytes.Clone(buffer)
	stamp, err := s.store.Put(s.Context(), key, buffer, record.IfAbsent())
	if err != nil {
		s.Fatal(err)
	}
	clear(buffer)
	s.wantValue(key, want, stamp.Version)
}

// sizes holds the sizes at which drivers change their ways, and those of the rule that the dead are
// visible in a list: 512 bytes are dead, 1,024 and more are not.
func (s *suite) sizes() {
	sizes := map[string]int{
		"1": 1, "16": 16, "511": 511, "512": 512, "513": 513, "1023": 1023, "1024": 1024, "4096": 4096,
		"65537": 65537, "256k": 256 << 10, "256k+": 256<<10 + 4321, "1m": 1 << 20, "4m": 4 << 20,
	}
	for name, size := range sizes {
		value, stamp := s.mustCreate(s.key(name), size)
		s.wantValue(s.key(name), value, stamp.Version)
	}
	entries := s.list(s.prefix, "")
	if len(entries) != len(sizes) {
		s.Fatalf("list: %v, want the keys of %v", s.names(entries), sizes)
	}
	for i, name := range s.names(entries) {
		if want := int64(sizes[name]); entries[i].Size != want {
			s.Errorf("list: %s has size %d, want %d", name, entries[i].Size, want)
		}
	}
	// A swap changes the size that a list tells: dead, and live again.
	key, version := s.key("512"), record.Version("")
	for _, size := range []int{1500, 512, 1024} {
		if version == "" {
			version = s.mustGet(key).Version
		}
		stamp, err := s.store.Put(s.Context(), key, nonce(s.T, size), record.IfVersion(version))
		if err != nil {
			s.Fatal(err)
		}
		version = stamp.Version
		for _, entry := range s.list(s.prefix, s.key("511")) {
			if entry.Key == key && (entry.Size != int64(size) || entry.Version != version) {
				s.Fatalf("list after a swap to %d bytes, version %s: %+v", size, version, entry)
			}
		}
	}
}

func (s *suite) modified() {
	const near = time.Minute // nodes of one store may differ by less, or the store is refused
	key := s.key("k")
	before := s.store.Now()
	_, stamp := s.mustCreate(key, 64)
	last := s.mustGet(key).Modified
	for range 5 {
		_, stamp = s.mustSwap(key, stamp.Version)
		rec := s.mustGet(key)
		if rec.Modified.Before(last) {
			s.Fatalf("Modified went from %s back to %s", last, rec.Modified)
		}
		if off := rec.Modified.Sub(stamp.Modified).Abs(); off > 10*time.Second {
			s.Fatalf("get says Modified %s, the write %s", rec.Modified, stamp.Modified)
		}
		last = rec.Modified
		now := s.store.Now()
		if behind := last.Sub(now); behind > resolution {
			s.Fatalf("Now %s runs behind Modified %s, which was seen before", now, last)
		}
		if off := now.Sub(last); off > near {
			s.Fatalf("Modified %s is far from Now %s", last, now)
		}
	}
	if early := before.Sub(last); early > near {
		s.Fatalf("Modified %s is before Now %s, which was read before the write", last, before)
	}
}

func (s *suite) now() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	s.endedGet(ctx) // Now goes on after a request that failed, too
	last := s.store.Now()
	if last.IsZero() {
		s.Fatal("Now is the zero time")
	}
	for range 100 {
		now := s.store.Now()
		if behind := last.Sub(now); behind > resolution {
			s.Fatalf("Now went from %s back to %s", last, now)
		}
		last = now
	}
}

// endedContext checks that every call says so, and that a write leaves nothing.
func (s *suite) endedContext() {
	cancelled, cancel := context.WithCancel(s.Context())
	cancel()
	late, cancelLate := context.WithDeadline(s.Context(), time.Now().Add(-time.Hour))
	defer cancelLate()

	key, absent := s.key("k"), s.key("absent")
	value, stamp := s.mustCreate(key, 64)
	for _, c := range []struct {
		ctx  context.Context
		want error
	}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}} {
		_, err := s.store.Get(c.ctx, key)
		s.wantError("get", err, c.want)
		_, err = s.store.Put(c.ctx, absent, nonce(s.T, 64), record.IfAbsent())
		s.wantError("create", err, c.want)
		_, err = s.store.Put(c.ctx, key, nonce(s.T, 64), record.IfVersion(stamp.Version))
		s.wantError("swap", err, c.want)
		s.wantError("delete", s.store.Delete(c.ctx, key, record.Always()), c.want)
		err = nil
		for _, e := range s.store.List(c.ctx, s.prefix, "") {
			err = errors.Join(err, e)
		}
		s.wantError("list", err, c.want)
	}
	s.wantAbsent(absent)
	s.wantValue(key, value, stamp.Version)
}

func (s *suite) endedGet(ctx context.Context) {
	_, err := s.store.Get(ctx, s.key("absent"))
	s.wantError("get", err, context.Canceled)
}
