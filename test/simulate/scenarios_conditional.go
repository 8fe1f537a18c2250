package simulate

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

const (
	doSetNew = "set where it was not, to" // as doSet, where it had no other value
	doNot    = "read as not"
)

// lateLook marks a doLeft of a push whose tag was set by another after it was looked at: the manifest was written by then, whatever is deleted.
const lateLook = 1

// PushNew pushes a manifest to a tag on the condition that the tag names nothing else.
func PushNew(replica int, repo oci.Repository, m *Manifest, t oci.Tag) Call {
	return Call{Name: fmt.Sprintf("push manifest %s to %s:%s, if that is new", m.Name, repo, t), Replica: replica, Do: func(e *Env) {
		var mu sync.Mutex
		named := ""
		_, err := e.Registry.PushManifest(e.Ctx, repo, registry.Push{Body: m.Body(), Tags: []oci.Tag{t}, Allow: func(_ oci.Tag, was, d oci.Digest) error {
			if was == "" || was == d {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			named = e.world.names.digest(was)
			return oci.Errorf(oci.Denied, "not new")
		}})
		v, object := unknown, manifestObject(repo, m.Name)
		if !errors.Is(err, registry.ErrDeleted) || !e.world.isDeletedSince(object, e.call.began) {
			v = e.judge(err)
		}
		switch {
		case v == refused && errors.Is(err, oci.ErrDenied):
			e.saw(fact{object: tagObject(repo, t), do: doRead, arg: named})
			e.saw(fact{object: object, do: doLeft, arg: there, unknown: true, n: lateLook})
		case v == refused:
			e.sawMissing(repo, m, err)
			e.saw(fact{object: object, do: doLeft, arg: there, unknown: true})
		default:
			e.saw(fact{object: object, do: doSet, arg: there, unknown: v == unknown})
			e.saw(fact{object: tagObject(repo, t), do: doSetNew, arg: m.Name, unknown: v == unknown})
		}
	}}
}

// DeleteUnlessKept deletes a manifest on the condition that a tag, which is never to be deleted, does not name it.
func DeleteUnlessKept(replica int, repo oci.Repository, m *Manifest, kept oci.Tag) Call {
	return Call{Name: fmt.Sprintf("delete manifest %s of %s, unless %s names it", m.Name, repo, kept), Replica: replica, Do: func(e *Env) {
		object := manifestObject(repo, m.Name)
		e.world.noteDelete(object, func(d *deletes) { d.underWay++ })
		err := e.Registry.DeleteManifestIf(e.Ctx, repo, m.Digest(), func(tags []oci.Tag) error {
			if slices.Contains(tags, kept) {
				return oci.Errorf(oci.Denied, "kept")
			}
			return nil
		})
		v := e.judge(err)
		e.world.noteDelete(object, func(d *deletes) {
			d.underWay--
			d.ended = int64(2*e.world.step + 1)
			if v != unknown && !errors.Is(err, oci.ErrDenied) {
				d.finished = max(d.finished, e.call.began)
			}
		})
		switch {
		case v == refused && errors.Is(err, oci.ErrDenied):
			e.saw(fact{object: object, do: doRead, arg: there})
			e.saw(fact{object: tagObject(repo, kept), do: doRead, arg: m.Name})
			return
		case v == refused:
			e.saw(fact{object: object, do: doMissing})
			return
		case v == ok:
			e.saw(fact{object: tagObject(repo, kept), do: doNot, arg: m.Name})
		}
		e.saw(fact{object: object, do: doAbsence, unknown: v == unknown})
		for _, t := range e.world.scenario.Tags {
			if t != kept {
				e.saw(fact{object: tagObject(repo, t), do: doClearIf, arg: m.Name, unknown: v == unknown})
			}
		}
	}}
}

// conditionalScenarios are about pushes and deletes under a condition: tags that are set once. Their names have none of the words by which planted bugs
// choose their scenarios.
func conditionalScenarios() []*Scenario {
	m, n := image("M", "L"), image("N", "L")
	r := &Manifest{Name: "R", Blobs: []string{"CM"}, Subject: n}
	index := &Manifest{Name: "I", Children: []*Manifest{m}}
	blobs := []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "CN"), PushBlob(0, repoA, "L")}
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: "condition: " + name, Setup: slices.Concat(blobs, setup), Clients: clients, Repositories: justA, Blobs: []string{"CM", "CN", "L"},
			Tags: []oci.Tag{"t", "kept"}, Manifests: []*Manifest{m, n, r, index}, MayFail: true,
		}
	}
	tagged := []Call{PushManifest(0, repoA, m, "t")}
	collect := CollectRepository(2, repoA, "CM", "CN", "L")
	return []*Scenario{
		of("two images under one new name", nil,
			[]Call{PushNew(0, repoA, m, "kept"), GetTag(0, repoA, "kept")},
			[]Call{PushNew(1, repoA, n, "kept"), GetTag(1, repoA, "kept")}),
		of("one image under one new name, twice", nil,
			[]Call{PushNew(0, repoA, m, "kept"), GetTag(0, repoA, "kept")},
			[]Call{PushNew(1, repoA, m, "kept"), GetTag(1, repoA, "kept")}),
		of("two images under a name that goes", []Call{PushManifest(0, repoA, m, "t")},
			[]Call{PushNew(0, repoA, n, "t"), GetTag(0, repoA, "t")},
			[]Call{DeleteTag(1, repoA, "t"), PushNew(1, repoA, m, "t"), GetTag(1, repoA, "t")}),
		of("a kill, while the image gets the name that stays", tagged,
			[]Call{PushNew(0, repoA, m, "kept"), GetTag(0, repoA, "kept")},
			[]Call{DeleteUnlessKept(1, repoA, m, "kept"), GetTag(1, repoA, "t")}),
		of("a kill, while the image gets the name that stays, and is read", tagged,
			[]Call{PushNew(0, repoA, m, "kept")},
			[]Call{DeleteUnlessKept(1, repoA, m, "kept")},
			[]Call{GetTag(2, repoA, "kept"), GetTag(2, repoA, "kept")}),
		of("two kills, while the image gets the name that stays", tagged,
			[]Call{PushNew(0, repoA, m, "kept"), GetTag(0, repoA, "kept")},
			[]Call{DeleteUnlessKept(1, repoA, m, "kept")},
			[]Call{DeleteUnlessKept(2, repoA, m, "kept"), GetManifest(2, repoA, m)}),
		of("a kill, while the image gets the name that stays, whatever that names", tagged,
			[]Call{PushManifest(0, repoA, m, "kept"), GetTag(0, repoA, "kept")},
			[]Call{DeleteUnlessKept(1, repoA, m, "kept"), GetTag(1, repoA, "kept")}),
		of("a kill, while the name that stays goes back to the image", []Call{PushManifest(0, repoA, m, "kept"), PushManifest(0, repoA, n, "kept")},
			[]Call{RestoreTag(0, repoA, "kept", m), GetTag(0, repoA, "kept")},
			[]Call{DeleteUnlessKept(1, repoA, m, "kept"), GetTag(1, repoA, "kept")}),
		of("a kill, while the name that stays goes from the image to another", []Call{PushManifest(0, repoA, m, "kept")},
			[]Call{PushManifest(0, repoA, n, "kept"), PushManifest(0, repoA, m, "kept"), GetTag(0, repoA, "kept")},
			[]Call{DeleteUnlessKept(1, repoA, m, "kept"), GetTag(1, repoA, "kept")}),
		of("a kill and a plain one, while the image gets the name that stays", tagged,
			[]Call{PushNew(0, repoA, m, "kept"), GetTag(0, repoA, "kept")},
			[]Call{DeleteUnlessKept(1, repoA, m, "kept")},
			[]Call{DeleteManifest(2, repoA, m), GetTag(2, repoA, "kept")}),
		of("a kill and a plain one, of an image that says of which it is", []Call{PushManifest(0, repoA, n), PushManifest(0, repoA, r, "t")},
			[]Call{DeleteUnlessKept(0, repoA, r, "kept"), GetReferrer(0, repoA, n, r)},
			[]Call{DeleteManifest(1, repoA, r), GetReferrer(1, repoA, n, r)}),
		of("a kill, while an image of images comes", tagged,
			[]Call{PushManifest(0, repoA, index, "kept"), GetTag(0, repoA, "kept")},
			[]Call{DeleteUnlessKept(1, repoA, m, "kept"), GetManifest(1, repoA, m)}),
		of("a kill that is refused, while garbage is looked for", append(slices.Clone(tagged), PushManifest(0, repoA, m, "kept"), Pass(0, 2*time.Hour)),
			[]Call{DeleteUnlessKept(0, repoA, m, "kept"), GetTag(0, repoA, "kept"), GetBlob(0, repoA, "L")},
			[]Call{collect}),
		of("a kill, while garbage is looked for, and the image gets the name that stays", append(slices.Clone(tagged), Pass(0, 2*time.Hour)),
			[]Call{DeleteUnlessKept(0, repoA, m, "kept")},
			[]Call{PushNew(1, repoA, m, "kept"), GetTag(1, repoA, "kept"), GetBlob(1, repoA, "L")},
			[]Call{collect}),
	}
}
