package registrytest

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

func wantCode(t *testing.T, want *oci.Error, err error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %s", err, want.Code)
	}
}

func chunk(content []byte) registry.Chunk {
	return registry.Chunk{Start: -1, Size: int64(len(content)), Body: bytes.NewReader(content)}
}

func chunkAt(start int64, content []byte) registry.Chunk {
	c := chunk(content)
	c.Start = start
	return c
}

func noChunk() registry.Chunk { return registry.Chunk{Start: -1} }

func (s *suite) pushBlob() {
	content := s.content(300_000)
	s.wantBlob("a/b", s.push("a/b", content), content)
}

func (s *suite) start(repo oci.Repository) registry.Upload {
	s.Helper()
	u, err := s.next().StartUpload(s.ctx(), repo, digest.SHA256)
	s.check(err)
	return u
}

func (s *suite) appended(repo oci.Repository, u registry.Upload, c registry.Chunk) registry.Upload {
	s.Helper()
	u, err := s.next().AppendUpload(s.ctx(), repo, u.ID, c)
	s.check(err)
	return u
}

func (s *suite) uploadAcrossReplicas() {
	const repo = "a/b"
	content := s.content(1_000_000)
	u := s.start(repo)
	for i := 0; i < 900_000; i += 300_000 {
		u = s.appended(repo, u, chunkAt(int64(i), content[i:i+300_000]))
		if u.Offset != int64(i+300_000) {
			s.Fatalf("offset %d after %d bytes", u.Offset, i+300_000)
		}
		for _, r := range s.replicas {
			status, err := r.UploadStatus(s.ctx(), repo, u.ID)
			s.check(err)
			if status.Offset != u.Offset {
				s.Fatalf("status says %d, want %d", status.Offset, u.Offset)
			}
		}
	}
	d := digest.FromBytes(content)
	s.check(s.next().CommitUpload(s.ctx(), repo, u.ID, d, chunk(content[900_000:])))
	s.wantBlob(repo, d, content)
}

func (s *suite) emptyBlob() {
	s.wantBlob("a", s.push("a", nil), nil)
	u := s.start("b")
	d := digest.FromBytes(nil)
	s.check(s.next().CommitUpload(s.ctx(), "b", u.ID, d, noChunk()))
	s.wantBlob("b", d, nil)
}

func (s *suite) sha512() {
	content := s.content(70_000)
	d := digest.SHA512.FromBytes(content)
	for _, announced := range []digest.Algorithm{digest.SHA512, digest.SHA256} {
		repo := oci.Repository("a/" + announced.String())
		u, err := s.next().StartUpload(s.ctx(), repo, announced)
		s.check(err)
		u = s.appended(repo, u, chunk(content[:30_000]))
		u = s.appended(repo, u, chunk(content[30_000:]))
		s.check(s.next().CommitUpload(s.ctx(), repo, u.ID, d, noChunk()))
		s.wantBlob(repo, d, content)
	}
}

func (s *suite) wrongDigest() {
	content := s.content(1000)
	u := s.appended("a", s.start("a"), chunk(content))
	wantCode(s.T, oci.ErrDigestInvalid, s.next().CommitUpload(s.ctx(), "a", u.ID, digest.FromString("other"), noChunk()))
	s.wantError(oci.ErrBlobUnknown, func(r registry.Registry) error {
		_, err := r.StatBlob(s.ctx(), "a", digest.FromString("other"))
		return err
	})
	wantCode(s.T, oci.ErrDigestInvalid, s.next().PushBlob(s.ctx(), "a", digest.FromString("other"), bytes.NewReader(content), 1000))
	d := digest.FromBytes(content)
	s.check(s.next().CommitUpload(s.ctx(), "a", u.ID, d, noChunk()))
	s.wantBlob("a", d, content)
}

func (s *suite) repeatedCommit() {
	content := s.content(1000)
	d := digest.FromBytes(content)
	u := s.appended("a", s.start("a"), chunk(content))
	for range 4 {
		s.check(s.next().CommitUpload(s.ctx(), "a", u.ID, d, noChunk()))
	}
	s.wantBlob("a", d, content)
}

func (s *suite) wrongOffset() {
	content := s.content(1000)
	u := s.appended("a", s.start("a"), chunk(content[:400]))
	for _, at := range []int64{0, 399, 401} {
		_, err := s.next().AppendUpload(s.ctx(), "a", u.ID, chunkAt(at, content[400:]))
		var wrong *registry.OffsetError
		if !errors.As(err, &wrong) || wrong.Upload.Offset != 400 {
			s.Fatalf("a chunk at %d: %v, want an OffsetError at 400", at, err)
		}
		u = wrong.Upload
	}
	u = s.appended("a", u, chunkAt(400, content[400:]))
	d := digest.FromBytes(content)
	s.check(s.next().CommitUpload(s.ctx(), "a", u.ID, d, noChunk()))
	s.wantBlob("a", d, content)
}

func (s *suite) racingChunks() {
	for _, fresh := range []bool{true, false} {
		u := s.start("a")
		want := int64(1000)
		if !fresh {
			u = s.appended("a", u, chunk(s.content(500)))
			want += 500
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			content := s.content(1000)
			r := s.replicas[i%len(s.replicas)]
			wg.Go(func() {
				after, err := r.AppendUpload(s.ctx(), "a", u.ID, chunkAt(want-1000, content))
				var wrong *registry.OffsetError
				switch {
				case err == nil && after.Offset == want:
					won.Add(1)
				case !errors.As(err, &wrong) || wrong.Upload.Offset != want:
					s.Errorf("a losing chunk: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			s.Fatalf("%d chunks won, want 1", won.Load())
		}
	}
}

func (s *suite) cancel() {
	for _, written := range []bool{false, true} {
		u := s.start("a")
		if written {
			u = s.appended("a", u, chunk(s.content(10)))
		}
		s.check(s.next().CancelUpload(s.ctx(), "a", u.ID))
		s.wantError(oci.ErrBlobUploadUnknown, func(r registry.Registry) error {
			_, err := r.UploadStatus(s.ctx(), "a", u.ID)
			return err
		})
		s.wantError(oci.ErrBlobUploadUnknown, func(r registry.Registry) error {
			_, err := r.AppendUpload(s.ctx(), "a", u.ID, chunk(s.content(10)))
			return err
		})
		s.wantError(oci.ErrBlobUploadUnknown, func(r registry.Registry) error {
			return r.CommitUpload(s.ctx(), "a", u.ID, digest.FromString("x"), noChunk())
		})
	}
}

func (s *suite) foreignUpload() {
	u := s.appended("a", s.start("a"), chunk(s.content(10)))
	forged := []byte(u.ID)
	forged[5] ^= 1
	for _, attempt := range []struct {
		repo oci.Repository
		id   string
	}{{"b", u.ID}, {"a", string(forged)}, {"a", ""}, {"a", "x"}, {"a", u.ID + "A"}} {
		s.wantError(oci.ErrBlobUploadUnknown, func(r registry.Registry) error {
			_, err := r.UploadStatus(s.ctx(), attempt.repo, attempt.id)
			return err
		})
		s.wantError(oci.ErrBlobUploadUnknown, func(r registry.Registry) error {
			return r.CancelUpload(s.ctx(), attempt.repo, attempt.id)
		})
	}
	_, err := s.next().UploadStatus(s.ctx(), "a", u.ID)
	s.check(err)
}

func (s *suite) ranges() {
	content := s.content(1000)
	u := s.start("a")
	for i := 0; i < 1000; i += 250 {
		u = s.appended("a", u, chunk(content[i:i+250]))
	}
	d := digest.FromBytes(content)
	s.check(s.next().CommitUpload(s.ctx(), "a", u.ID, d, noChunk()))
	blob, err := s.next().Blob(s.ctx(), "a", d)
	s.check(err)
	for _, r := range [][2]int64{{0, 1}, {0, 250}, {249, 2}, {250, 250}, {100, 800}, {999, 1}, {0, 999}, {1, 999}} {
		if got := s.readBlob(blob, r[0], r[1]); !bytes.Equal(got, content[r[0]:r[0]+r[1]]) {
			s.Errorf("%d bytes from %d are not the blob's", r[1], r[0])
		}
	}
}

func (s *suite) mounts() {
	content := s.content(5000)
	d := s.push("from", content)
	s.check(s.next().MountBlob(s.ctx(), "to", d, registry.Source{Repository: "from"}))
	s.wantBlob("to", d, content)
	s.check(s.next().MountBlob(s.ctx(), "to", d, registry.Source{Repository: "from"}))
	s.check(s.next().MountBlob(s.ctx(), "anywhere", d, registry.Source{}))
	s.wantBlob("anywhere", d, content)
	for _, from := range []registry.Source{
		{Repository: "empty"},
		{Repository: "from", Allowed: func(oci.Repository) bool { return false }},
		{Allowed: func(oci.Repository) bool { return false }},
	} {
		if err := s.next().MountBlob(s.ctx(), "never", d, from); !errors.Is(err, registry.ErrNotMounted) {
			s.Fatalf("mount from %+v: %v, want ErrNotMounted", from, err)
		}
	}
	s.wantError(oci.ErrBlobUnknown, func(r registry.Registry) error {
		_, err := r.StatBlob(s.ctx(), "never", d)
		return err
	})
	s.check(s.next().PushBlob(s.ctx(), "never", d, bytes.NewReader(content), 5000)) // joins the link that the mount left
	s.wantBlob("never", d, content)
}

func (s *suite) racingPushes() {
	content := s.content(10_000)
	d := digest.FromBytes(content)
	repos := []oci.Repository{"a", "b", "c", "a", "b", "c", "d", "a"}
	var wg sync.WaitGroup
	for i, repo := range repos {
		r := s.replicas[i%len(s.replicas)]
		wg.Go(func() {
			if err := r.PushBlob(s.ctx(), repo, d, bytes.NewReader(content), int64(len(content))); err != nil {
				s.Errorf("push to %s: %v", repo, err)
			}
		})
	}
	wg.Wait()
	for _, repo := range repos {
		s.wantBlob(repo, d, content)
	}
}
