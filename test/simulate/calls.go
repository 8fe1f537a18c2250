package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

// What a fact says of an object that has a value or none.
const (
	doSet       = "set to"      // it has the value now
	doClear     = "removed"     // it had a value, and has none now
	doAbsence   = "made absent" // it has none now, whatever it had
	doCollected = "collected"   // the same, by the collector
	doClearIf   = "removed if"  // if it had this value it has none now
	doRead      = "read as"     // it has this value
	doMissing   = "read as absent"
	doFinal     = "at last read as" // as doRead, when everybody has ended
	doLeft      = "perhaps left as" // as doSet, by a push that was refused after its manifest was written
)

const there = "there"

func tagObject(repo oci.Repository, t oci.Tag) string { return "tag " + string(repo) + " " + string(t) }
func manifestObject(repo oci.Repository, m string) string {
	return "manifest " + string(repo) + " " + m
}
func blobObject(repo oci.Repository, b string) string { return "blob " + string(repo) + " " + b }

// PushBlob pushes a whole blob.
func PushBlob(replica int, repo oci.Repository, blob string) Call {
	return Call{Name: fmt.Sprintf("push blob %s to %s", blob, repo), Replica: replica, Do: func(e *Env) {
		content := blobBytes(blob)
		err := e.Registry.PushBlob(e.Ctx, repo, blobDigest(blob), strings.NewReader(content), int64(len(content)))
		v := e.judge(err)
		if v == refused {
			e.breaks("refused: %v", err)
			return
		}
		e.saw(fact{object: blobObject(repo, blob), do: doSet, arg: there, unknown: v == unknown})
	}}
}

// Mount mounts a blob of another repository.
func Mount(replica int, repo oci.Repository, blob string, from oci.Repository) Call {
	return Call{Name: fmt.Sprintf("mount blob %s from %s to %s", blob, from, repo), Replica: replica, Do: func(e *Env) {
		err := e.Registry.MountBlob(e.Ctx, repo, blobDigest(blob), registry.Source{Repository: from})
		if v := e.judge(err); v != refused {
			e.saw(fact{object: blobObject(repo, blob), do: doSet, arg: there, unknown: v == unknown})
		} else if !errors.Is(err, oci.ErrBlobUnknown) {
			e.breaks("refused: %v", err)
		}
	}}
}

// DeleteBlob deletes a blob from a repository.
func DeleteBlob(replica int, repo oci.Repository, blob string) Call {
	return Call{Name: fmt.Sprintf("delete blob %s of %s", blob, repo), Replica: replica, Do: func(e *Env) {
		err := e.Registry.DeleteBlob(e.Ctx, repo, blobDigest(blob))
		object := blobObject(repo, blob)
		switch e.judge(err) {
		case ok:
			e.saw(fact{object: object, do: doClear})
		case unknown:
			e.saw(fact{object: object, do: doAbsence, unknown: true})
		case refused:
			if errors.Is(err, oci.ErrBlobUnknown) {
				e.saw(fact{object: object, do: doMissing})
			} else if !errors.Is(err, oci.ErrDenied) {
				e.breaks("refused: %v", err)
			}
		}
	}}
}

// StatBlob asks whether a repository has a blob.
func StatBlob(replica int, repo oci.Repository, blob string) Call {
	return Call{Name: fmt.Sprintf("stat blob %s of %s", blob, repo), Replica: replica, Do: func(e *Env) {
		_, err := e.Registry.StatBlob(e.Ctx, repo, blobDigest(blob))
		e.sawRead(err, blobObject(repo, blob), there)
	}}
}

// sawRead notes what a read says of an object. One that failed says nothing.
func (e *Env) sawRead(err error, object, value string) bool {
	switch e.judge(err) {
	case ok:
		do := doRead
		if e.world.free {
			do = doFinal
		}
		e.saw(fact{object: object, do: do, arg: value})
		return true
	case refused:
		e.saw(fact{object: object, do: doMissing})
	}
	return false
}

// GetBlob reads a blob, whole and from its middle, and compares its bytes.
func GetBlob(replica int, repo oci.Repository, blob string) Call {
	return Call{Name: fmt.Sprintf("get blob %s of %s", blob, repo), Replica: replica, Do: func(e *Env) {
		e.getBlob(repo, blob)
	}}
}

func (e *Env) getBlob(repo oci.Repository, blob string) {
	found, err := e.Registry.Blob(e.Ctx, repo, blobDigest(blob))
	if !e.sawRead(err, blobObject(repo, blob), there) {
		return
	}
	want := blobBytes(blob)
	for _, from := range []int{0, len(want) / 3} {
		if from > 0 && len(e.world.mirror.rotten) > 0 {
			return // only a whole blob is checked on its way
		}
		if found.Size != int64(len(want)) {
			e.breaks("%d bytes, want %d", found.Size, len(want))
			return
		}
		r, err := found.Bytes.Open(e.Ctx, int64(from), int64(len(want)-from))
		if err == nil {
			var got []byte
			got, err = io.ReadAll(r)
			err = errors.Join(err, r.Close())
			if err == nil && string(got) != want[from:] {
				e.breaks("a clean end after wrong bytes: %d from %d, want %d", len(got), from, len(want)-from)
			}
		}
		if errors.Is(err, data.ErrNotFound) && e.world.scenario.MayFail {
			return // deleted and collected since, without any grace: the transfer breaks off
		}
		e.judge(err) // the blob may have been deleted since: an error, not a 404
	}
}

// PushManifest pushes a manifest, by digest only without tags.
func PushManifest(replica int, repo oci.Repository, m *Manifest, tags ...oci.Tag) Call {
	body, name := m.Body(), "push manifest "+m.Name+" to "+string(repo)
	for _, t := range tags {
		name += ":" + string(t)
	}
	return Call{Name: name, Replica: replica, Do: func(e *Env) {
		_, err := e.Registry.PushManifest(e.Ctx, repo, registry.Push{Body: body, Tags: tags})
		v := unknown
		if !errors.Is(err, registry.ErrDeleted) || !e.world.isDeletedSince(manifestObject(repo, m.Name), e.call.began) {
			v = e.judge(err)
		}
		if v == refused {
			e.sawMissing(repo, m, err)
			e.saw(fact{object: manifestObject(repo, m.Name), do: doLeft, arg: there, unknown: true})
			return
		}
		e.saw(fact{object: manifestObject(repo, m.Name), do: doSet, arg: there, unknown: v == unknown})
		for _, t := range tags {
			e.saw(fact{object: tagObject(repo, t), do: doSet, arg: m.Name, unknown: v == unknown})
		}
	}}
}

// sawMissing notes what a refused push says is not there.
func (e *Env) sawMissing(repo oci.Repository, m *Manifest, err error) {
	var missing oci.Errors
	if !errors.As(err, &missing) || !errors.Is(err, oci.ErrManifestBlobUnknown) {
		e.breaks("refused: %v", err)
		return
	}
	for _, miss := range missing {
		field, _ := miss.Detail.(oci.Field)
		for _, b := range m.Blobs {
			if field.Got == string(blobDigest(b)) {
				e.saw(fact{object: blobObject(repo, b), do: doMissing})
			}
		}
		for _, c := range m.Children {
			if field.Got == string(c.Digest()) {
				e.saw(fact{object: manifestObject(repo, c.Name), do: doMissing})
			}
		}
	}
}

// GetTag resolves a tag.
func GetTag(replica int, repo oci.Repository, t oci.Tag) Call {
	return Call{Name: fmt.Sprintf("get tag %s:%s", repo, t), Replica: replica, Do: func(e *Env) {
		got, err := e.Registry.Resolve(e.Ctx, repo, oci.Reference{Tag: t})
		value := ""
		if err == nil {
			value = e.world.names.digest(got.Digest)
			e.checkBody(got)
		}
		e.sawRead(err, tagObject(repo, t), value)
	}}
}

// GetManifest resolves a digest.
func GetManifest(replica int, repo oci.Repository, m *Manifest) Call {
	d := m.Digest()
	return Call{Name: fmt.Sprintf("get manifest %s of %s", m.Name, repo), Replica: replica, Do: func(e *Env) {
		got, err := e.Registry.Resolve(e.Ctx, repo, oci.Reference{Digest: d})
		if err == nil {
			e.checkBody(got)
		}
		e.sawRead(err, manifestObject(repo, m.Name), there)
	}}
}

// GetReferrer looks for a referrer whose push was acknowledged, and which nobody has deleted since.
func GetReferrer(replica int, repo oci.Repository, subject, m *Manifest) Call {
	return Call{Name: fmt.Sprintf("get the referrers of %s of %s", subject.Name, repo), Replica: replica, Do: func(e *Env) {
		list, err := e.Registry.Referrers(e.Ctx, repo, subject.Digest())
		listed := slices.ContainsFunc(list, func(d oci.Descriptor) bool { return d.Digest == m.Digest() })
		object := manifestObject(repo, m.Name)
		if e.judge(err) == ok && !listed && e.world.stands(object) && !e.world.isDeletedSince(object, e.call.began) && !e.world.isRemoved(object) {
			e.breaks("%s is not listed, though its push was acknowledged", m.Name)
		}
	}}
}

func (e *Env) checkBody(got *registry.Stored) {
	m := e.world.scenario.manifest(e.world.names.digest(got.Digest))
	if m == nil || string(got.Body) != string(m.Body()) {
		e.breaks("a manifest with wrong bytes, of %s", got.Digest)
	}
}

// DeleteTag deletes a tag.
func DeleteTag(replica int, repo oci.Repository, t oci.Tag) Call {
	return Call{Name: fmt.Sprintf("delete tag %s:%s", repo, t), Replica: replica, Do: func(e *Env) {
		switch e.judge(e.Registry.DeleteTag(e.Ctx, repo, t)) {
		case ok:
			e.saw(fact{object: tagObject(repo, t), do: doClear})
		case unknown:
			e.saw(fact{object: tagObject(repo, t), do: doAbsence, unknown: true})
		case refused:
			e.saw(fact{object: tagObject(repo, t), do: doMissing})
		}
	}}
}

// deletes is what is known of the deletes of one object.
type deletes struct {
	underWay int
	ended    int64 // when the last of them ended
	finished int64 // when the last of those that ended well began
}

// noteDelete changes what is known of the deletes of an object.
func (w *world) noteDelete(object string, change func(*deletes)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.deletes[object]
	change(&d)
	w.deletes[object] = d
}

// isDeletedSince reports whether a delete of the object was under way at any time since.
func (w *world) isDeletedSince(object string, since int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.deletes[object]
	return d.underWay > 0 || d.ended >= since
}

// DeleteManifest deletes a manifest, and with it every tag that holds it.
func DeleteManifest(replica int, repo oci.Repository, m *Manifest) Call {
	d := m.Digest()
	return Call{Name: fmt.Sprintf("delete manifest %s of %s", m.Name, repo), Replica: replica, Do: func(e *Env) {
		object := manifestObject(repo, m.Name)
		e.world.noteDelete(object, func(d *deletes) { d.underWay++ })
		v := e.judge(e.Registry.DeleteManifest(e.Ctx, repo, d))
		e.world.noteDelete(object, func(d *deletes) {
			d.underWay--
			d.ended = int64(2*e.world.step + 1)
			if v != unknown {
				d.finished = max(d.finished, e.call.began)
			}
		})
		if v == refused {
			e.saw(fact{object: object, do: doMissing})
			return
		}
		e.saw(fact{object: object, do: doAbsence, unknown: v == unknown})
		for _, t := range e.world.scenario.Tags {
			e.saw(fact{object: tagObject(repo, t), do: doClearIf, arg: m.Name, unknown: v == unknown})
		}
	}}
}

// Leaving is a call whose client leaves after a while.
func Leaving(c Call, after time.Duration) Call {
	do := c.Do
	c.Do = func(e *Env) {
		ctx, cancel := context.WithTimeout(e.Ctx, after)
		defer cancel()
		e.Ctx = ctx
		do(e)
	}
	c.Name += ", whose client leaves"
	return c
}

// HalfPush writes a manifest as a replica does that looked at its references long ago, and that dies right
// after: live, but nobody has verified it.
func HalfPush(replica int, repo oci.Repository, m *Manifest) Call {
	return Call{Name: fmt.Sprintf("push manifest %s to %s, and die after writing it", m.Name, repo), Replica: replica, Do: func(e *Env) {
		key := record.Key(repositoryPrefix(repo) + "m/sha256-" + m.Digest().Encoded())
		r, err := e.read(key)
		if err == nil && !r.is("live", "condemned") {
			if r == nil {
				r = &raw{key: key, head: map[string]any{}}
			}
			r.body = m.Body()
			_, err = e.swap(r, map[string]any{"st": "live", "mediaType": m.descriptor().MediaType, "e": 0, "g": r.key})
		}
		e.judge(err)
		e.saw(fact{object: manifestObject(repo, m.Name), do: doSet, arg: there, unknown: true})
	}, Once: true}
}
