package cached_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/data/cached"
)

// eachWay reads a segment in the ways there are, and fails for a wrong byte.
func (f *fixture) eachWay(what string, n int, content []byte) {
	f.Helper()
	size := int64(len(content))
	got, err := f.read(n, 0, size)
	if err != nil || !bytes.Equal(got, content) {
		f.Fatalf("%s: %d bytes, %v", what, len(got), err)
	}
	r, err := f.Open(f.Context(), id(n), size/3, size/2)
	if err != nil {
		f.Fatalf("%s: %v", what, err)
	}
	var part bytes.Buffer
	if _, err := io.Copy(&part, r); err != nil || !bytes.Equal(part.Bytes(), content[size/3:size/3+size/2]) {
		f.Fatalf("%s: a part: %d bytes, %v", what, part.Len(), err)
	}
	if err := r.Close(); err != nil {
		f.Error(err)
	}
}

// Whatever byte of a copy is another, or wherever it ends: the bytes are the segment's, before and after a restart.
func TestEveryByteFlippedAndEveryLength(t *testing.T) {
	f := newFixture(t, 64*mib)
	const size = 300
	content := f.put(1, size)
	f.want(1, content, 1)
	good, err := os.ReadFile(f.file(1))
	if err != nil {
		t.Fatal(err)
	}
	change := func(what string, bad []byte) {
		t.Helper()
		for _, restart := range []bool{true, false} {
			if restart {
				f.close()
			} else {
				f.want(1, content, 0) // it is in use
			}
			if err := os.WriteFile(f.file(1), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if restart {
				f.open(64 * mib)
			}
			f.eachWay(what, 1, content)
			f.eachWay(what, 1, content) // makes a new copy
			f.want(1, content, 0)
		}
	}
	for at := range good {
		bad := bytes.Clone(good)
		bad[at] ^= 1 << (at % 8)
		change("a flipped bit", bad)
	}
	for length := range good {
		change("cut", good[:length])
	}
	change("longer", append(bytes.Clone(good), 0))
	change("rubbish", bytes.Repeat([]byte{0xff}, 10_000))
	if n := f.Counts().Damaged.Load(); n == 0 {
		t.Error("nothing was found")
	}
}

// A copy under another segment's name is none.
func TestAnotherSegmentsCopy(t *testing.T) {
	f := newFixture(t, 64*mib)
	one, two := f.put(1, 1000), f.put(2, 1000)
	f.want(1, one, 1)
	f.want(2, two, 1)
	f.close()
	if err := os.Rename(f.file(1), f.file(2)); err != nil {
		t.Fatal(err)
	}
	f.open(64 * mib)
	f.eachWay("renamed", 2, two)
}

// A file that changes under a reader, in a chunk that it has not read yet: it goes on from the store.
func TestChangedUnderAReader(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"cut": func(path string) error { return os.Truncate(path, mib) },
		"overwritten": func(path string) error {
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = file.WriteAt([]byte("rubbish"), 2*mib)
			return errors.Join(err, file.Close())
		},
		"removed": os.Remove,
		"wiped":   func(path string) error { return os.RemoveAll(filepath.Dir(filepath.Dir(path))) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 64*mib)
			content := f.put(1, 3*mib)
			f.want(1, content, 1)
			f.want(1, content, 0)
			r, err := f.Open(t.Context(), id(1), 0, 3*mib)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 300_000)
			if _, err := io.ReadFull(r, got); err != nil {
				t.Fatal(err)
			}
			if err := harm(f.file(1)); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(append(got, rest...), content) {
				t.Errorf("%d bytes, %v", len(got)+len(rest), err)
			}
			f.eachWay("afterwards", 1, content)
			f.eachWay("afterwards", 1, content)
			f.want(1, content, 0)
			if name == "wiped" { // and it is locked again
				if _, err := cached.New(t.Context(), f.far, cached.Config{Dir: f.dir, MaxBytes: mib}, nil); !errors.Is(err, cached.ErrInUse) {
					t.Errorf("a second cache: %v", err)
				}
			}
		})
	}
}

// The file that is being filled is changed: nobody gets what is in it.
func TestChangedWhileFilling(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"cut":     func(path string) error { return os.Truncate(path, 0) },
		"removed": os.Remove,
		"rubbish": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte{1}, 6*mib), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, 64*mib)
				content := f.put(1, 4*mib)
				f.far.wait = func() { time.Sleep(time.Second) }
				var readers []io.ReadCloser
				for range 3 {
					r, err := f.Open(t.Context(), id(1), 0, 4*mib)
					if err != nil {
						t.Fatal(err)
					}
					readers = append(readers, r)
				}
				time.Sleep(3500 * time.Millisecond)
				parts, err := filepath.Glob(filepath.Join(f.dir, "segments", "*.part"))
				if err != nil || len(parts) != 1 {
					t.Fatalf("%v, %v", parts, err)
				}
				if err := harm(parts[0]); err != nil {
					t.Fatal(err)
				}
				for _, r := range readers {
					if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
						t.Errorf("%d bytes, %v", len(got), err)
					}
					if err := r.Close(); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(time.Minute)
				f.eachWay("afterwards", 1, content)
			})
		})
	}
}

// What a process leaves that dies at any moment of a copy is good or goes.
func TestDiesWhileFilling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 64*mib)
		content := f.put(1, mib)
		f.far.wait = func() { time.Sleep(time.Second) }
		r, err := f.Open(t.Context(), id(1), 0, mib)
		if err != nil {
			t.Fatal(err)
		}
		for range 6 {
			left := &fixture{T: t, far: &far{Store: f.far.Store}, dir: filepath.Join(t.TempDir(), "left")}
			if err := os.CopyFS(left.dir, os.DirFS(f.dir)); err != nil {
				t.Fatal(err)
			}
			left.open(64 * mib)
			if parts, err := filepath.Glob(filepath.Join(left.dir, "segments", "*.part")); err != nil || len(parts) > 0 {
				t.Errorf("left: %v, %v", parts, err)
			}
			left.eachWay("afterwards", 1, content)
			left.close()
			time.Sleep(time.Second)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Who finds that bytes are not what they should be has the store read, and no new copy made.
func TestDistrust(t *testing.T) {
	f := newFixture(t, 64*mib)
	content := f.put(1, mib)
	f.want(1, content, 1)
	r, err := f.Open(t.Context(), id(1), 0, mib)
	if err != nil {
		t.Fatal(err)
	}
	r.(data.CopyReader).Distrust()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	f.want(1, content, 1)
	f.want(1, content, 1)
	if n := f.onDisk(); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}

// A directory is one process's, and no registry's.
func TestRefused(t *testing.T) {
	f := newFixture(t, mib)
	if _, err := cached.New(t.Context(), f.far, cached.Config{Dir: f.dir, MaxBytes: mib}, nil); !errors.Is(err, cached.ErrInUse) {
		t.Errorf("a second cache: %v", err)
	}
	storage := t.TempDir()
	if err := os.Mkdir(filepath.Join(storage, "holdfast"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := cached.New(t.Context(), f.far, cached.Config{Dir: storage, MaxBytes: mib}, nil); !errors.Is(err, cached.ErrStorage) {
		t.Errorf("a registry's directory: %v", err)
	}
	for _, wrong := range []cached.Config{{Dir: t.TempDir()}, {MaxBytes: mib}} {
		if _, err := cached.New(t.Context(), f.far, wrong, nil); err == nil {
			t.Errorf("%+v: no error", wrong)
		}
	}
}

// sink takes files as a connection does.
type sink struct {
	bytes.Buffer
	files int
}

func (s *sink) ReadFrom(src io.Reader) (int64, error) {
	if limited, ok := src.(*io.LimitedReader); ok {
		if _, ok := limited.R.(*os.File); ok {
			s.files++
		}
	}
	return s.Buffer.ReadFrom(src)
}

// A copy leaves as a file once all of it was compared, and not any more when it has changed.
func TestSendfile(t *testing.T) {
	f := newFixture(t, 64*mib)
	content := f.put(1, mib)
	f.want(1, content, 1)
	send := func(offset, length int64) (files int) {
		t.Helper()
		r, err := f.Open(t.Context(), id(1), offset, length)
		if err != nil {
			t.Fatal(err)
		}
		var to sink
		n, err := r.(io.WriterTo).WriteTo(&to)
		if err = errors.Join(err, r.Close()); err != nil || n != length || !bytes.Equal(to.Bytes(), content[offset:offset+length]) {
			t.Fatalf("%d bytes, %v", n, err)
		}
		return to.files
	}
	if n := send(10, 1000); n != 0 {
		t.Error("a part of a file that nobody compared left as a file")
	}
	for end := time.Now().Add(5 * time.Second); send(0, mib) == 0 && time.Now().Before(end); { // until it is as old as the kernel's times tell
	}
	if send(0, mib) != 1 || send(10, 1000) != 1 {
		t.Error("it does not leave as a file")
	}
	file, err := os.OpenFile(f.file(1), os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteAt([]byte("rubbish"), 100)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if r, err := f.Open(t.Context(), id(1), 10, 1000); err != nil {
		t.Error(err)
	} else {
		var to sink
		if _, err := io.Copy(&to, r); err != nil || to.files != 0 || !bytes.Equal(to.Bytes(), content[10:1010]) {
			t.Errorf("%d bytes, %d as files, %v", to.Len(), to.files, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
