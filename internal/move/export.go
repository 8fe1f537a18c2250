package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// Export adds images, with all that they refer to and all that refers to them, to a layout: each reference is repository, repository:tag or repository@digest, a repository
// alone means all its tags. The names in the layout are tags when all references are of one repository, and else repositories and tags. A name that the layout has
// already is set. tell as in Import. Errors as of Backup; what is not there is a Problem.
func Export(ctx context.Context, from registry.Registry, layout *Layout, references []string, tell func(Progress)) (_ *Report, err error) {
	t := newTally(OpExport, false)
	unlock, err := layout.lock()
	if err != nil {
		return &t.report, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := layout.removeUnfinished(); err != nil {
		return &t.report, err
	}
	targets, err := parseTargets(references)
	if err != nil {
		return &t.report, err
	}
	index, err := layout.Index()
	if err != nil {
		return &t.report, err
	}
	defer t.telling(ctx, tell)()
	t.of.Store(int64(len(targets)))
	e := &exporting{tally: t, layout: layout, at: map[string]int{}, from: from, short: len(targets) == 1}
	for _, desc := range index.Manifests {
		e.set(desc)
	}
	for _, repo := range targets {
		e.outgoing = &outgoing{tally: t, from: from, layout: layout, repo: repo.name, done: map[oci.Digest]bool{}}
		t.repository.Store(string(repo.name))
		if err := e.repository(ctx, repo); err != nil {
			return &t.report, err
		}
		t.repositories.Add(1)
		t.count(func(r *Report) { r.Repositories++ })
	}
	index.Manifests = e.index
	return &t.report, layout.WriteIndex(index)
}

// target is a repository of which something is to be exported; without references, all tags.
type target struct {
	name oci.Repository
	refs []oci.Reference
	all  bool
}

// ReferenceError is a reference that makes no sense.
type ReferenceError struct{ text string }

// Error says why.
func (e *ReferenceError) Error() string { return e.text }

func parseTargets(references []string) ([]*target, error) {
	var targets []*target
	for _, text := range references {
		name, ref, err := parseReference(text)
		if err != nil {
			return nil, &ReferenceError{fmt.Sprintf("%q is not REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST: %s", oci.Clip(text), err.Error())}
		}
		i := slices.IndexFunc(targets, func(t *target) bool { return t.name == name })
		if i < 0 {
			i = len(targets)
			targets = append(targets, &target{name: name})
		}
		if ref == (oci.Reference{}) {
			targets[i].all = true
		} else {
			targets[i].refs = append(targets[i].refs, ref)
		}
	}
	return targets, nil
}

func parseReference(text string) (name oci.Repository, ref oci.Reference, err error) {
	rest, d, byDigest := strings.Cut(text, "@")
	rest, tag, byTag := strings.Cut(rest, ":")
	if name, err = oci.ParseRepository(rest); err != nil {
		return "", ref, err
	}
	switch {
	case byDigest:
		ref.Digest, err = oci.ParseDigest(d)
	case byTag:
		ref.Tag, err = oci.ParseTag(tag)
	}
	return name, ref, err
}

type exporting struct {
	*tally
	*outgoing
	layout *Layout
	from   registry.Registry
	index  []oci.Descriptor
	at     map[string]int // where in it a name is, or, without one, a digest
	short  bool           // names are tags alone
}

func (e *exporting) repository(ctx context.Context, t *target) error {
	refs := t.refs
	if t.all {
		for last := ""; ; {
			page, err := e.from.Tags(ctx, t.name, last, listPage)
			if fatal(ctx, err) {
				return err
			}
			if err != nil {
				e.problem(Problem{Repository: string(t.name), Err: err.Error()})
				return nil
			}
			for _, tag := range page.Names {
				refs = append(refs, oci.Reference{Tag: tag})
				last = string(tag)
			}
			if !page.More {
				break
			}
		}
	}
	for _, ref := range refs {
		err := e.image(ctx, t.name, ref)
		if fatal(ctx, err) {
			return err
		}
		if err != nil {
			e.problem(Problem{Repository: string(t.name), Tag: string(ref.Tag), Digest: ref.Digest, Err: err.Error()})
		}
	}
	return nil
}

// image exports an image, and then what refers to it.
func (e *exporting) image(ctx context.Context, repo oci.Repository, ref oci.Reference) error {
	stored, err := e.from.Resolve(ctx, repo, ref)
	if err != nil {
		return err
	}
	desc, err := e.whole(ctx, stored.Digest, stored.MediaType, stored.Body)
	if err != nil {
		return err
	}
	name := string(ref.Tag)
	if !e.short {
		name = string(repo) + ":" + name
		if ref.Tag == "" {
			name = string(repo) + "@" + string(ref.Digest)
		}
	}
	if ref.Tag != "" {
		e.count(func(r *Report) { r.Tags++ })
	}
	e.name(desc, name)
	return e.referrers(ctx, repo, stored.Digest, map[oci.Digest]bool{stored.Digest: true})
}

// referrers exports what refers to a manifest, to what refers to it, and so on.
func (e *exporting) referrers(ctx context.Context, repo oci.Repository, subject oci.Digest, seen map[oci.Digest]bool) error {
	list, err := e.from.Referrers(ctx, repo, subject)
	if err != nil {
		return err
	}
	for _, r := range list {
		if seen[r.Digest] {
			continue
		}
		seen[r.Digest] = true
		desc, err := e.whole(ctx, r.Digest, r.MediaType, nil)
		if errors.Is(err, oci.ErrManifestUnknown) {
			continue // it was deleted meanwhile
		}
		if err != nil {
			return err
		}
		name := ""
		if !e.short {
			name = string(repo) + "@" + string(r.Digest)
		}
		e.name(desc, name)
		if err := e.referrers(ctx, repo, r.Digest, seen); err != nil {
			return err
		}
	}
	return nil
}

// name adds a manifest to the index of the layout: under a name, which is taken from what has it, or once without one.
func (e *exporting) name(desc oci.Descriptor, name string) {
	if name != "" {
		desc.Annotations = map[string]string{RefName: name}
	}
	e.set(desc)
}

func (e *exporting) set(desc oci.Descriptor) {
	key := desc.Annotations[RefName]
	if key == "" {
		key = "@" + string(desc.Digest) // no name begins so
	}
	if i, there := e.at[key]; there {
		e.index[i] = desc
		return
	}
	e.at[key] = len(e.index)
	e.index = append(e.index, desc)
}
