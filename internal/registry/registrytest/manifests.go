package registrytest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

func (s *suite) manifest() {
	m := s.pushImage("a", "", "one")
	s.wantManifest("a", byTag("one"), m)
	s.wantManifest("a", byDigest(m.digest), m)
	big := s.pushImage("a", fmt.Sprintf(`,"annotations":{"pad":%q}`, bytes.Repeat([]byte{'x'}, 300<<10)), "one")
	s.wantManifest("a", byTag("one"), big)
	s.wantManifest("a", byDigest(m.digest), m)
	untagged := s.pushImage("a", "")
	s.wantManifest("a", byDigest(untagged.digest), untagged)
	sum := digest.SHA512.FromBytes(m.body)
	_, err := s.next().PushManifest(s.ctx(), "a", registry.Push{ContentType: imageType, Body: m.body, Digest: sum, Tags: []oci.Tag{"five"}})
	s.check(err)
	s.wantManifest("a", byTag("five"), image{sum, m.body, nil})
	_, err = s.next().PushManifest(s.ctx(), "a", registry.Push{ContentType: imageType, Body: m.body, Digest: big.digest})
	wantCode(s.T, oci.ErrDigestInvalid, err)
}

func (s *suite) missingReferences() {
	m := s.image("a", "")
	s.wantError(oci.ErrManifestBlobUnknown, func(r registry.Registry) error {
		_, err := r.PushManifest(s.ctx(), "other", registry.Push{Body: m.body, Tags: []oci.Tag{"t"}})
		var all oci.Errors
		if !errors.As(err, &all) || len(all) != 2 {
			s.Errorf("error %v, want one for each of 2 blobs", err)
		}
		return err
	})
	s.wantError(oci.ErrManifestUnknown, func(r registry.Registry) error {
		_, err := r.Resolve(s.ctx(), "other", byTag("t"))
		return err
	})
	s.wantError(oci.ErrNameUnknown, func(r registry.Registry) error {
		_, err := r.Tags(s.ctx(), "other", "", 10)
		return err
	})
}

func (s *suite) wrongSize() {
	m := s.image("a", "")
	body := bytes.Replace(m.body, []byte(`"size":100}`), []byte(`"size":101}`), 1)
	_, err := s.next().PushManifest(s.ctx(), "a", registry.Push{Body: body, Tags: []oci.Tag{"t"}})
	wantCode(s.T, oci.ErrSizeInvalid, err)
}

func (s *suite) index() {
	a, b := s.pushImage("a", ""), s.image("a", "")
	body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d},{"mediaType":%q,"digest":%q,"size":%d}]}`,
		oci.MediaTypeImageIndex, imageType, a.digest, len(a.body), imageType, b.digest, len(b.body))
	push := registry.Push{Body: body, Tags: []oci.Tag{"all"}}
	_, err := s.next().PushManifest(s.ctx(), "a", push)
	wantCode(s.T, oci.ErrManifestBlobUnknown, err)
	_, err = s.next().PushManifest(s.ctx(), "a", registry.Push{Body: b.body})
	s.check(err)
	for range s.replicas {
		_, err = s.next().PushManifest(s.ctx(), "a", push)
		s.check(err)
	}
	m, err := s.next().Resolve(s.ctx(), "a", byTag("all"))
	s.check(err)
	if !bytes.Equal(m.Body, body) || m.MediaType != oci.MediaTypeImageIndex {
		s.Fatal("the index came back changed")
	}
}

func (s *suite) racingTags() {
	images := make([]image, 9)
	for i := range images {
		images[i] = s.image("a", "")
	}
	var wg sync.WaitGroup
	for i, m := range images {
		r := s.replicas[i%len(s.replicas)]
		wg.Go(func() {
			tags := []oci.Tag{"latest", oci.Tag(fmt.Sprintf("v%d", i))}
			if _, err := r.PushManifest(s.ctx(), "a", registry.Push{Body: m.body, Tags: tags}); err != nil {
				s.Errorf("push: %v", err)
			}
		})
	}
	wg.Wait()
	latest, err := s.next().Resolve(s.ctx(), "a", byTag("latest"))
	s.check(err)
	won := slices.IndexFunc(images, func(m image) bool { return m.digest == latest.Digest })
	if won < 0 {
		s.Fatalf("the tag is %s, which nobody pushed", latest.Digest)
	}
	s.wantManifest("a", byTag("latest"), images[won])
	for i, m := range images {
		s.wantManifest("a", byTag(oci.Tag(fmt.Sprintf("v%d", i))), m)
	}
}

func (s *suite) manyTags() {
	var tags []oci.Tag
	for i := range 20 {
		tags = append(tags, oci.Tag(fmt.Sprintf("t%d", i)))
	}
	m := s.pushImage("a", "", tags...)
	for _, tag := range tags {
		s.wantManifest("a", byTag(tag), m)
	}
}

func (s *suite) deleteTag() {
	m := s.pushImage("a", "", "one", "two")
	s.check(s.next().DeleteTag(s.ctx(), "a", "one"))
	s.wantError(oci.ErrManifestUnknown, func(r registry.Registry) error {
		_, err := r.Resolve(s.ctx(), "a", byTag("one"))
		return err
	})
	s.wantError(oci.ErrManifestUnknown, func(r registry.Registry) error { return r.DeleteTag(s.ctx(), "a", "one") })
	s.wantManifest("a", byTag("two"), m)
	s.wantManifest("a", byDigest(m.digest), m)
	s.wantTags("a", "two")
	s.check(s.next().DeleteTag(s.ctx(), "a", "two"))
	s.wantTags("a")
}

func (s *suite) deleteManifest() {
	m, other := s.pushImage("a", "", "one", "two", "three"), s.image("a", "")
	_, err := s.next().PushManifest(s.ctx(), "a", registry.Push{Body: other.body, Tags: []oci.Tag{"two"}})
	s.check(err)
	s.check(s.next().DeleteManifest(s.ctx(), "a", m.digest))
	for _, ref := range []oci.Reference{byDigest(m.digest), byTag("one"), byTag("three")} {
		s.wantError(oci.ErrManifestUnknown, func(r registry.Registry) error {
			_, err := r.Resolve(s.ctx(), "a", ref)
			return err
		})
	}
	s.wantManifest("a", byTag("two"), other)
	s.wantTags("a", "two")
	s.wantError(oci.ErrManifestUnknown, func(r registry.Registry) error { return r.DeleteManifest(s.ctx(), "a", m.digest) })
}

func (s *suite) deleteBlob() {
	m := s.pushImage("a", "", "one")
	for _, d := range m.layers {
		err := s.next().DeleteBlob(s.ctx(), "a", d)
		var refused *oci.Error
		if !errors.As(err, &refused) || refused.Code != oci.Denied || refused.Reason != oci.InUse {
			s.Fatalf("deleting a blob in use: %v, want DENIED", err)
		}
	}
	content := s.content(50)
	d := s.push("a", content)
	s.push("b", content)
	s.check(s.next().DeleteBlob(s.ctx(), "a", d))
	s.wantError(oci.ErrBlobUnknown, func(r registry.Registry) error {
		_, err := r.Blob(s.ctx(), "a", d)
		return err
	})
	s.wantError(oci.ErrBlobUnknown, func(r registry.Registry) error { return r.DeleteBlob(s.ctx(), "a", d) })
	s.wantBlob("b", d, content)
	s.check(s.next().DeleteManifest(s.ctx(), "a", m.digest))
	for _, d := range m.layers {
		s.check(s.next().DeleteBlob(s.ctx(), "a", d))
	}
}

func (s *suite) pushAgain() {
	for range 3 {
		s.rand.Uint32()
		content := []byte("the same layer every time")
		d := s.push("a", content)
		s.wantBlob("a", d, content)
		s.check(s.next().DeleteBlob(s.ctx(), "a", d))
		m := s.pushImage("a", "", "one")
		for range 2 {
			_, err := s.next().PushManifest(s.ctx(), "a", registry.Push{Body: m.body, Tags: []oci.Tag{"one"}})
			s.check(err)
			s.wantManifest("a", byTag("one"), m)
			s.check(s.next().DeleteManifest(s.ctx(), "a", m.digest))
		}
	}
}

func (s *suite) referrers() {
	subject := s.pushImage("a", "", "one")
	unknown := digest.FromString("a subject that comes later, or never")
	field := func(d oci.Digest) string {
		return fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":5},"annotations":{"k":"v"}`, imageType, d)
	}
	first := s.pushImage("a", field(subject.digest))
	second := s.pushImage("a", field(subject.digest)+`,"artifactType":"application/vnd.example.sig"`, "sig")
	other := s.pushImage("a", field(unknown))
	s.wantReferrers(subject.digest, first, second)
	s.wantReferrers(unknown, other)
	list, err := s.next().Referrers(s.ctx(), "a", subject.digest)
	s.check(err)
	for _, d := range list {
		want := "application/vnd.example+json"
		if d.Digest == second.digest {
			want = "application/vnd.example.sig"
		}
		if d.ArtifactType != want || d.Annotations["k"] != "v" || d.MediaType != imageType {
			s.Errorf("descriptor %+v, want artifactType %s and the manifest's annotations", d, want)
		}
	}
	s.check(s.next().DeleteManifest(s.ctx(), "a", first.digest))
	s.wantReferrers(subject.digest, second)
	_, err = s.next().PushManifest(s.ctx(), "a", registry.Push{Body: first.body})
	s.check(err)
	s.wantReferrers(subject.digest, first, second)
	s.wantReferrers(digest.FromString("nothing"))
}

func (s *suite) wantReferrers(subject oci.Digest, want ...image) {
	s.Helper()
	var digests []oci.Digest
	for _, m := range want {
		digests = append(digests, m.digest)
	}
	slices.Sort(digests)
	for _, r := range s.replicas {
		list, err := r.Referrers(s.ctx(), "a", subject)
		s.check(err)
		var got []oci.Digest
		for _, d := range list {
			got = append(got, d.Digest)
		}
		if !slices.Equal(got, digests) {
			s.Fatalf("referrers %v, want %v", got, digests)
		}
	}
}

func (s *suite) wantTags(repo oci.Repository, want ...oci.Tag) {
	s.Helper()
	for _, r := range s.replicas {
		page, err := r.Tags(s.ctx(), repo, "", 1000)
		s.check(err)
		if !slices.Equal(page.Names, want) || page.More {
			s.Fatalf("tags %v, want %v", page.Names, want)
		}
	}
}

func (s *suite) tagPages() {
	names := []oci.Tag{"0.1.2", "0.1.20", "0.1.2-rc1", "a", "a.b", "a-b", "a_b", "A", "latest", "z"}
	s.pushImage("a", "", names...)
	slices.Sort(names)
	for size := 1; size <= len(names)+1; size++ {
		var got []oci.Tag
		last := ""
		for more := true; more; {
			page, err := s.next().Tags(s.ctx(), "a", last, size)
			s.check(err)
			got, more = append(got, page.Names...), page.More
			last = string(got[len(got)-1])
		}
		if !slices.Equal(got, names) {
			s.Fatalf("in pages of %d: %v, want %v", size, got, names)
		}
	}
	page, err := s.next().Tags(s.ctx(), "a", "a.a-tag-that-is-not-there", 3)
	s.check(err)
	if !slices.Equal(page.Names, []oci.Tag{"a.b", "a_b", "latest"}) {
		s.Fatalf("after a tag that is not there: %v", page.Names)
	}
}

func (s *suite) repositoryPages() {
	names := []oci.Repository{"m", "m-v", "m/a", "m.b", "mz", "m--v", "m/a/b", "m_v", "m0", "a/b-c/d.e"}
	for _, name := range names {
		s.pushImage(name, "", "t")
	}
	slices.Sort(names)
	for size := 1; size <= len(names)+1; size++ {
		var got []oci.Repository
		last := ""
		for more := true; more; {
			page, err := s.next().Repositories(s.ctx(), last, size)
			s.check(err)
			got, more = append(got, page.Names...), page.More
			last = string(got[len(got)-1])
		}
		if !slices.Equal(got, names) {
			s.Fatalf("in pages of %d: %v, want %v", size, got, names)
		}
	}
}

func (s *suite) unknown() {
	d := digest.FromString("nothing")
	for want, call := range map[*oci.Error]func(registry.Registry) error{
		oci.ErrBlobUnknown:     func(r registry.Registry) error { return r.DeleteBlob(s.ctx(), "a", d) },
		oci.ErrManifestUnknown: func(r registry.Registry) error { return r.DeleteManifest(s.ctx(), "a", d) },
		oci.ErrNameUnknown: func(r registry.Registry) error {
			_, err := r.Tags(s.ctx(), "a", "", 1)
			return err
		},
	} {
		s.wantError(want, call)
	}
	page, err := s.next().Repositories(s.ctx(), "", 5)
	s.check(err)
	if len(page.Names) != 0 {
		s.Fatalf("repositories %v in an empty store", page.Names)
	}
}
