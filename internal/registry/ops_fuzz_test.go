package registry_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// world is two replicas over one store, and what they should hold: a model in plain maps.
type world struct {
	t        *testing.T
	replicas []*registry.Local
	blobs    map[oci.Repository]map[oci.Digest]bool
	content  map[oci.Repository]map[oci.Digest]document
	tags     map[oci.Repository]map[oci.Tag]oci.Digest
	step     string
}

// document is a manifest of the model.
type document struct {
	body     string
	subject  oci.Digest
	children []oci.Digest
}

func newWorld(t *testing.T) *world {
	s := newStores(t)
	return &world{
		t: t, replicas: []*registry.Local{s.replica(), s.replica()},
		blobs: map[oci.Repository]map[oci.Digest]bool{}, content: map[oci.Repository]map[oci.Digest]document{}, tags: map[oci.Repository]map[oci.Tag]oci.Digest{},
	}
}

// in returns the part of a model that is of a repository.
func in[K comparable, V any](m map[oci.Repository]map[K]V, repo oci.Repository) map[K]V {
	if m[repo] == nil {
		m[repo] = map[K]V{}
	}
	return m[repo]
}

// want compares an outcome with the model's: nil, or a code.
func (w *world) want(err error, code *oci.Error) {
	w.t.Helper()
	if code == nil && err != nil || code != nil && !errors.Is(err, code) {
		w.t.Fatalf("%s: %v, want %v", w.step, err, code)
	}
}

func unless(ok bool, code *oci.Error) *oci.Error {
	if ok {
		return nil
	}
	return code
}

const (
	imageMedia = "application/vnd.oci.image.manifest.v1+json"
	indexMedia = "application/vnd.oci.image.index.v1+json"
)

func layerOf(i byte) string { return fmt.Sprint("layer ", i%4) }

// image is one of few images: of a config, a layer and, for some, a subject.
func (w *world) image(repo oci.Repository, i byte) document {
	d := func(content, media string) string {
		return fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":%d}`, media, digest.FromString(content), len(content))
	}
	subject := ""
	doc := document{}
	if i&8 != 0 { // of what is there, or is not: both are allowed
		body := w.image(repo, i&7).body
		doc.subject = digest.FromString(body)
		subject = `,"subject":` + d(body, imageMedia)
	}
	layer := layerOf(i)
	doc.body = fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s],"annotations":{"i":"%d"}%s}`,
		imageMedia, d(layerOf(0), "a/config"), d(layer, "a/layer"), i&15, subject)
	return doc
}

// index is one of few indexes, of two images or of another index and an image.
func (w *world) index(repo oci.Repository, i byte) document {
	var doc document
	var children []string
	add := func(child document, media string) {
		d := digest.FromString(child.body)
		doc.children = append(doc.children, d)
		children = append(children, fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":%d}`, media, d, len(child.body)))
	}
	add(w.image(repo, i&7), imageMedia)
	if i&8 != 0 {
		add(w.index(repo, i&7), indexMedia)
	} else {
		add(w.image(repo, (i+1)&7), imageMedia)
	}
	doc.body = fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}`, indexMedia, strings.Join(children, ","))
	return doc
}

// complete says whether everything that a document refers to is there.
func (w *world) complete(repo oci.Repository, doc document, i byte) bool {
	if len(doc.children) == 0 {
		blobs := in(w.blobs, repo)
		return blobs[digest.FromString(layerOf(0))] && blobs[digest.FromString(layerOf(i))]
	}
	return !slices.ContainsFunc(doc.children, func(d oci.Digest) bool { _, is := in(w.content, repo)[d]; return !is })
}

// used says whether an image of the repository refers to a blob.
func (w *world) used(repo oci.Repository, content string) bool {
	d := digest.FromString(content)
	for _, doc := range in(w.content, repo) {
		if len(doc.children) == 0 && strings.Contains(doc.body, string(d)) {
			return true
		}
	}
	return false
}

// do makes one operation: what and on what are a byte each.
func (w *world) do(what, on byte) {
	r := w.replicas[what>>7]
	repo := []oci.Repository{"a", "a/b"}[on>>4&1]
	tag := oci.Tag(fmt.Sprint("v", on>>5&3))
	content := layerOf(on)
	d := digest.FromString(content)
	w.step = fmt.Sprintf("%d on %d in %s", what&15, on, repo)
	ctx := w.t.Context()
	switch what & 15 {
	case 0, 1:
		w.want(r.PushBlob(ctx, repo, d, strings.NewReader(content), int64(len(content))), nil)
		in(w.blobs, repo)[d] = true
	case 2:
		_, err := r.StatBlob(ctx, repo, d)
		w.want(err, unless(in(w.blobs, repo)[d], oci.ErrBlobUnknown))
	case 3:
		err := r.DeleteBlob(ctx, repo, d)
		switch {
		case !in(w.blobs, repo)[d]:
			w.want(err, oci.ErrBlobUnknown)
		case w.used(repo, content):
			w.want(err, oci.ErrDenied)
		default:
			w.want(err, nil)
			delete(in(w.blobs, repo), d)
		}
	case 4:
		other := []oci.Repository{"a/b", "a"}[on>>4&1]
		err := r.MountBlob(ctx, repo, d, registry.Source{Repository: other})
		w.want(err, unless(in(w.blobs, other)[d], registry.ErrNotMounted))
		if err == nil {
			in(w.blobs, repo)[d] = true
		}
	case 5, 6, 7, 8:
		doc, media := w.image(repo, on), imageMedia
		if what&15 > 6 {
			doc, media = w.index(repo, on), indexMedia
		}
		push := registry.Push{ContentType: media, Body: []byte(doc.body)}
		if what&1 == 1 {
			push.Tags = []oci.Tag{tag}
		}
		pushed, err := r.PushManifest(ctx, repo, push)
		w.want(err, unless(w.complete(repo, doc, on), oci.ErrManifestBlobUnknown))
		if err == nil {
			if pushed.Digest != digest.FromString(doc.body) || pushed.Subject != doc.subject {
				w.t.Fatalf("%s: %+v", w.step, pushed)
			}
			in(w.content, repo)[pushed.Digest] = doc
			for _, t := range push.Tags {
				in(w.tags, repo)[t] = pushed.Digest
			}
		}
	case 9:
		_, is := in(w.tags, repo)[tag]
		w.want(r.DeleteTag(ctx, repo, tag), unless(is, oci.ErrManifestUnknown))
		delete(in(w.tags, repo), tag)
	case 10, 11:
		doc := w.image(repo, on)
		if what&15 == 11 {
			doc = w.index(repo, on)
		}
		of := digest.FromString(doc.body)
		_, is := in(w.content, repo)[of]
		w.want(r.DeleteManifest(ctx, repo, of), unless(is, oci.ErrManifestUnknown))
		delete(in(w.content, repo), of)
		maps.DeleteFunc(in(w.tags, repo), func(_ oci.Tag, named oci.Digest) bool { return named == of })
	default:
		w.check(r, repo)
	}
}

// check compares all that a replica shows of a repository with the model.
func (w *world) check(r *registry.Local, repo oci.Repository) {
	ctx := w.t.Context()
	page, err := r.Tags(ctx, repo, "", 100)
	if err != nil && !errors.Is(err, oci.ErrNameUnknown) {
		w.t.Fatalf("%s: %v", w.step, err)
	}
	if want := slices.Sorted(maps.Keys(in(w.tags, repo))); !slices.Equal(page.Names, want) {
		w.t.Fatalf("%s: the tags are %v, want %v", w.step, page.Names, want)
	}
	for tag, d := range in(w.tags, repo) {
		if got, err := r.Resolve(ctx, repo, oci.Reference{Tag: tag}); err != nil || got.Digest != d || string(got.Body) != in(w.content, repo)[d].body {
			w.t.Fatalf("%s: the tag %s: %+v %v, want %s", w.step, tag, got, err, d)
		}
	}
	referrers := map[oci.Digest][]oci.Digest{}
	for i := range byte(16) {
		for _, doc := range []document{w.image(repo, i), w.index(repo, i)} {
			d := digest.FromString(doc.body)
			_, is := in(w.content, repo)[d]
			_, err := r.Resolve(ctx, repo, oci.Reference{Digest: d})
			w.want(err, unless(is, oci.ErrManifestUnknown))
			if is && doc.subject != "" && !slices.Contains(referrers[doc.subject], d) {
				referrers[doc.subject] = append(referrers[doc.subject], d)
			}
		}
	}
	for i := range byte(8) {
		subject := digest.FromString(w.image(repo, i).body)
		list, err := r.Referrers(ctx, repo, subject)
		var got []oci.Digest
		for _, d := range list {
			got = append(got, d.Digest)
		}
		slices.Sort(referrers[subject])
		if slices.Sort(got); err != nil || !slices.Equal(got, referrers[subject]) {
			w.t.Fatalf("%s: the referrers of %s are %v %v, want %v", w.step, subject, got, err, referrers[subject])
		}
	}
}

// run does the operations that bytes say, and looks at everything in the end, at both replicas.
func (w *world) run(ops []byte, most int) {
	for i := 0; i+1 < len(ops) && i < 2*most; i += 2 {
		w.do(ops[i], ops[i+1])
	}
	w.step = "at the end"
	for _, r := range w.replicas {
		for _, repo := range []oci.Repository{"a", "a/b"} {
			w.check(r, repo)
			for i := range byte(4) {
				d := digest.FromString(layerOf(i))
				_, err := r.StatBlob(w.t.Context(), repo, d)
				w.want(err, unless(in(w.blobs, repo)[d], oci.ErrBlobUnknown))
			}
		}
	}
}

// FuzzOps: whatever is done in whatever order, at either of two replicas, each answer and all that is there is what a model in plain maps says.
func FuzzOps(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 5, 1, 2, 1, 3, 1, 9, 1, 10, 1, 3, 1})
	f.Add([]byte{0, 0, 0, 1, 0, 2, 5, 1, 133, 2, 7, 1, 8, 9, 10, 1, 138, 2, 11, 1, 12, 0})
	f.Add([]byte{128, 16, 4, 0, 0, 1, 5, 9, 133, 1, 12, 0, 138, 1, 140, 0, 5, 1, 12, 0})
	f.Fuzz(func(t *testing.T, ops []byte) { newWorld(t).run(ops, 60) })
}

// FuzzIndexWalk: an index is taken when all of its children are there, however deep, and refused when one is not; blobs of what it leads to stay.
func FuzzIndexWalk(f *testing.F) {
	f.Add([]byte{7, 0, 7, 1, 8, 8, 11, 0, 8, 8})
	f.Add([]byte{5, 1, 5, 2, 7, 1, 135, 9, 10, 1, 8, 1, 7, 9, 3, 1})
	f.Fuzz(func(t *testing.T, given []byte) {
		w, ops := newWorld(t), slices.Clone(given)
		for i := range byte(4) {
			w.do(0, i)
		}
		for i := range ops[:min(len(ops), 2)] {
			w.do(5, ops[i]&7)
		}
		for i := 0; i < len(ops); i += 2 { // only what indexes are about
			ops[i] = ops[i]&0x80 | []byte{5, 6, 7, 8, 7, 10, 11, 3}[ops[i]&7]
		}
		w.run(ops, 40)
	})
}

// FuzzSubjectReferrer: the referrers of a subject are what refers to it and is there, whichever of them came first and whichever went.
func FuzzSubjectReferrer(f *testing.F) {
	f.Add([]byte{0, 9, 0, 1, 1, 9, 0, 9})
	f.Add([]byte{0, 8, 128, 10, 2, 8, 0, 8, 1, 8, 3, 0})
	f.Fuzz(func(t *testing.T, given []byte) {
		w, ops := newWorld(t), slices.Clone(given)
		for i := range byte(4) {
			w.do(0, i)
		}
		for i := 0; i < len(ops); i += 2 {
			ops[i] = ops[i]&0x80 | []byte{5, 6, 10, 12}[ops[i]&3]
		}
		w.run(ops, 40)
	})
}
