package simulate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// RestoreTag sets a tag to a manifest that it named before. Success says that the manifest is there: a restore never writes one.
func RestoreTag(replica int, repo oci.Repository, t oci.Tag, m *Manifest) Call {
	return Call{Name: fmt.Sprintf("restore tag %s:%s to %s", repo, t, m.Name), Replica: replica, Do: func(e *Env) {
		e.restore(repo, t, m)
	}}
}

func (e *Env) restore(repo oci.Repository, t oci.Tag, m *Manifest) {
	err := e.Registry.Restore(e.Ctx, repo, t, m.Digest())
	var moved *registry.MovedError
	switch e.judge(err) {
	case ok:
		e.saw(fact{object: manifestObject(repo, m.Name), do: doRead, arg: there})
		e.saw(fact{object: tagObject(repo, t), do: doSet, arg: m.Name})
	case unknown:
		e.saw(fact{object: tagObject(repo, t), do: doSet, arg: m.Name, unknown: true})
	case refused:
		switch {
		case errors.As(err, &moved) && moved.Now == "":
			e.saw(fact{object: tagObject(repo, t), do: doMissing})
		case errors.As(err, &moved):
			e.saw(fact{object: tagObject(repo, t), do: doRead, arg: e.world.names.digest(moved.Now)})
		case errors.Is(err, oci.ErrManifestUnknown):
			e.saw(fact{object: manifestObject(repo, m.Name), do: doMissing})
		default:
			e.sawMissing(repo, m, err)
		}
	}
}

// RestoreKept restores what the history says is kept: it must be there, whatever is collected. Nobody may delete it in such a scenario.
func RestoreKept(replica int, repo oci.Repository, t oci.Tag, m *Manifest) Call {
	return Call{Name: fmt.Sprintf("look for %s in the history of %s:%s, and restore it", m.Name, repo, t), Replica: replica, Do: func(e *Env) {
		h, err := e.Registry.History(e.Ctx, repo, t)
		if e.judge(err) == unknown {
			return
		}
		kept := err == nil && slices.ContainsFunc(h.Before, func(n registry.Named) bool {
			return n.Digest == m.Digest() && n.Present && time.Until(n.KeptUntil) > time.Hour
		})
		if !kept {
			e.breaks("%s is not in the history as kept: %+v, %v", m.Name, h, err)
			return
		}
		e.restore(repo, t, m)
		for _, f := range e.call.facts {
			if f.do == doMissing && f.object != tagObject(repo, t) {
				e.breaks("%s was kept, and is not there when its tag is restored", f.object)
			}
		}
	}}
}

// restoredScenarios are about tags that are set to what they named before.
func restoredScenarios() []*Scenario {
	m, n, o := image("M", "L"), image("N", "L"), image("O", "L")
	r := &Manifest{Name: "R", Blobs: []string{"CR"}, Subject: n}
	index := &Manifest{Name: "I", Children: []*Manifest{m}}
	blobs := []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "CN"), PushBlob(0, repoA, "CO"), PushBlob(0, repoA, "CR"), PushBlob(0, repoA, "L")}
	all := []string{"CM", "CN", "CO", "CR", "L"}
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: "restored: " + name, Setup: slices.Concat(blobs, setup), Clients: clients, Repositories: justA, Blobs: all,
			Tags: []oci.Tag{"t", "w"}, Manifests: []*Manifest{m, n, o, r, index}, MayFail: true,
		}
	}
	moved := []Call{PushManifest(0, repoA, m, "t"), PushManifest(0, repoA, n, "t")}
	deleted := []Call{PushManifest(0, repoA, m, "t"), DeleteTag(0, repoA, "t")}
	old := func(calls ...Call) []Call { return append(slices.Clone(calls), Pass(0, 2*time.Hour)) }
	collect := func(replica int) Call { return CollectRepository(replica, repoA, all...) }
	// M is older than the grace, and protected by the history of the tag alone.
	kept := slices.Concat([]Call{PushManifest(0, repoA, m, "t"), Pass(0, 30*time.Hour), PushManifest(0, repoA, n, "t"), Pass(0, time.Hour)})
	graceful := CollectRepositoryAfter(1, 24*time.Hour, repoA, all...)
	return []*Scenario{
		of("an overwritten tag, while what it named is collected", old(moved...),
			[]Call{RestoreTag(0, repoA, "t", m), GetTag(2, repoA, "t"), GetBlob(2, repoA, "L")},
			[]Call{collect(1)}),
		of("a deleted tag, while what it named is collected", old(deleted...),
			[]Call{RestoreTag(0, repoA, "t", m), GetTag(2, repoA, "t")},
			[]Call{collect(1), CollectDigest(1, "CM")}),
		of("a deleted tag, while what it named is collected, and pushed elsewhere", old(deleted...),
			[]Call{RestoreTag(0, repoA, "t", m)},
			[]Call{collect(1)},
			[]Call{PushManifest(2, repoA, m, "w")}),
		of("an overwritten tag, while it is pushed", moved,
			[]Call{RestoreTag(0, repoA, "t", m), GetTag(2, repoA, "t")},
			[]Call{PushManifest(1, repoA, o, "t"), GetTag(1, repoA, "t")}),
		of("an overwritten tag, while it is pushed, and what it named is deleted", moved,
			[]Call{RestoreTag(0, repoA, "t", m)},
			[]Call{PushManifest(1, repoA, o, "t"), GetTag(1, repoA, "t")},
			[]Call{DeleteManifest(2, repoA, m), GetTag(2, repoA, "t"), GetManifest(2, repoA, m)}),
		of("an overwritten tag, while it is deleted, and pushed", moved,
			[]Call{RestoreTag(0, repoA, "t", m)},
			[]Call{DeleteTag(1, repoA, "t"), GetTag(1, repoA, "t")},
			[]Call{PushManifest(2, repoA, o, "t")}),
		of("an overwritten tag, while what it names is deleted", moved,
			[]Call{RestoreTag(0, repoA, "t", m), GetTag(0, repoA, "t")},
			[]Call{DeleteManifest(1, repoA, n), GetTag(1, repoA, "t")}),
		of("an overwritten tag, while what it named is deleted, with its layer, and seen to be gone", moved,
			[]Call{RestoreTag(0, repoA, "t", m)},
			[]Call{DeleteManifest(1, repoA, m), GetManifest(1, repoA, m), DeleteBlob(1, repoA, "CM"), GetManifest(1, repoA, m)}),
		of("a deleted tag, while what it named is deleted and pushed again", deleted,
			[]Call{RestoreTag(0, repoA, "t", m)},
			[]Call{DeleteManifest(1, repoA, m), PushManifest(1, repoA, m), GetTag(1, repoA, "t")}),
		of("two restores to different manifests", append(slices.Clone(moved), PushManifest(0, repoA, o, "t")),
			[]Call{RestoreTag(0, repoA, "t", m), GetTag(2, repoA, "t")},
			[]Call{RestoreTag(1, repoA, "t", n), GetTag(2, repoA, "t")}),
		of("an index, while its manifest is deleted, with its config", []Call{PushManifest(0, repoA, m), PushManifest(0, repoA, index, "t"), DeleteTag(0, repoA, "t")},
			[]Call{RestoreTag(0, repoA, "t", index)},
			[]Call{DeleteManifest(1, repoA, m), DeleteBlob(1, repoA, "CM")}),
		of("a referrer, while it is deleted", []Call{PushManifest(0, repoA, n), PushManifest(0, repoA, r, "t"), DeleteTag(0, repoA, "t"), Pass(0, 15*time.Minute)},
			[]Call{RestoreTag(0, repoA, "t", r), GetReferrer(0, repoA, n, r)},
			[]Call{DeleteManifest(1, repoA, r)}),
		of("what the history keeps, while a collector works, and the tag is deleted", kept,
			[]Call{RestoreKept(0, repoA, "t", m)},
			[]Call{graceful},
			[]Call{DeleteTag(2, repoA, "t")}),
		of("what the history of a deleted tag keeps, while a collector works, and the tag is pushed", append(slices.Clone(kept), DeleteTag(0, repoA, "t")),
			[]Call{RestoreKept(0, repoA, "t", m)},
			[]Call{graceful},
			[]Call{PushManifest(2, repoA, o, "t")}),
	}
}
