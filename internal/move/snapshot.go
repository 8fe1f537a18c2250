package move

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/internal/oci"
)

// A backup is one OCI image layout. index.json names its snapshots; a snapshot is an index of the repositories, a repository is an index of manifests: one descriptor for each tag, and one
// for each manifest that has none. Annotations say what the image-spec has no field for. docs/backup.md describes it for those who read it without us.
const (
	noteRepository = "holdfast.repository" // of a repository in a snapshot: its name
	noteState      = "holdfast.state"      // of a repository in a snapshot: the hash of the versions of its records; none when not all of it could be copied
	notePushed     = "holdfast.pushed"     // of a tag: when it was set, RFC 3339
	noteBy         = "holdfast.by"         // of a tag: who set it
	noteVersion    = "holdfast.version"    // of a tag: the version of its record
)

// snapshotForm is the form of a snapshot's name: the time at which it was begun.
const snapshotForm = "20060102T150405Z"

// Snapshot is a snapshot of a backup.
type Snapshot struct {
	Name  string
	Begun time.Time
	desc  oci.Descriptor
}

// Snapshots returns the snapshots of a backup, the oldest first.
func Snapshots(l *Layout) ([]Snapshot, error) {
	index, err := l.Index()
	if err != nil {
		return nil, err
	}
	var out []Snapshot
	for _, desc := range index.Manifests {
		name := desc.Annotations[RefName]
		begun, err := time.Parse(snapshotForm, name)
		if err != nil || desc.MediaType != v1.MediaTypeImageIndex {
			return nil, fmt.Errorf("move: %s is not a backup: it has %q beside snapshots", l.dir, name)
		}
		out = append(out, Snapshot{Name: name, Begun: begun, desc: desc})
	}
	slices.SortFunc(out, func(a, b Snapshot) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// repositories reads a snapshot: the descriptor of each repository.
func (l *Layout) repositories(s Snapshot) (map[oci.Repository]oci.Descriptor, error) {
	out := map[oci.Repository]oci.Descriptor{}
	if s.Name == "" {
		return out, nil
	}
	index, err := l.readIndexBlob(s.desc)
	if err != nil {
		return nil, fmt.Errorf("move: read the snapshot %s: %w", s.Name, err)
	}
	for _, desc := range index.Manifests {
		repo, err := oci.ParseRepository(desc.Annotations[noteRepository])
		if err != nil {
			return nil, fmt.Errorf("move: read the snapshot %s: %w", s.Name, err)
		}
		out[repo] = desc
	}
	return out, nil
}

// snapshotSource is a snapshot as a Source.
type snapshotSource struct {
	layout *Layout
	repos  map[oci.Repository]oci.Descriptor
}

// NewSnapshotSource returns the images of a snapshot of a backup: "" is the newest.
func NewSnapshotSource(l *Layout, name string) (Source, Snapshot, error) {
	all, err := Snapshots(l)
	if err != nil {
		return nil, Snapshot{}, err
	}
	i := len(all) - 1
	if name != "" {
		i = slices.IndexFunc(all, func(s Snapshot) bool { return s.Name == name })
	}
	if i < 0 {
		return nil, Snapshot{}, fmt.Errorf("move: %s has no snapshot %s: %w", l.dir, name, fs.ErrNotExist)
	}
	repos, err := l.repositories(all[i])
	return &snapshotSource{l, repos}, all[i], err
}

// Repositories implements Source.
func (s *snapshotSource) Repositories(context.Context) ([]string, error) {
	var names []string
	for repo := range maps.Keys(s.repos) {
		names = append(names, string(repo))
	}
	slices.Sort(names)
	return names, nil
}

// Entries implements Source: what has no tag first, then the tags in the order in which they were set, so that retention rules that count the newest
// keep the same ones.
func (s *snapshotSource) Entries(_ context.Context, repository string) ([]Entry, []Problem, error) {
	index, err := s.layout.readIndexBlob(s.repos[oci.Repository(repository)])
	if err != nil {
		return nil, nil, err
	}
	var entries []Entry
	var problems []Problem
	for _, desc := range index.Manifests {
		e, p := entryOf(repository, desc.Annotations[RefName], desc)
		if p != nil {
			problems = append(problems, *p)
			continue
		}
		e.Pushed, _ = time.Parse(time.RFC3339Nano, desc.Annotations[notePushed]) // none: not known
		e.By = desc.Annotations[noteBy]
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Pushed.Compare(b.Pushed) })
	return entries, problems, nil
}

// Open implements Source.
func (s *snapshotSource) Open(_ context.Context, _ string, d oci.Digest) (io.ReadCloser, int64, error) {
	return s.layout.Open(d)
}
