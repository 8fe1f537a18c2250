package move

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"holdfast/internal/oci"
)

// layoutSource is an OCI image layout as a Source. Names are a tag, or a repository and a tag.
type layoutSource struct {
	layout     *Layout
	repository string // for names without one; "" is none
	entries    map[string][]Entry
	problems   map[string][]Problem
}

// NewLayoutSource returns the images of an OCI image layout. repository is that of manifests whose name in the layout is a tag alone, or that
// have none. Errors: fs.ErrNotExist.
func NewLayoutSource(layout *Layout, repository string) Source {
	return &layoutSource{layout: layout, repository: repository}
}

// Repositories implements Source.
func (s *layoutSource) Repositories(context.Context) ([]string, error) {
	index, err := s.layout.Index()
	if err != nil {
		return nil, err
	}
	s.entries, s.problems = map[string][]Entry{}, map[string][]Problem{}
	var names []string
	seen := map[string]bool{}
	for _, desc := range index.Manifests {
		repository, tag := s.split(desc.Annotations[RefName])
		if repository == "" {
			return nil, fmt.Errorf("move: the name %q in the layout says no repository: give one with --repository", desc.Annotations[RefName])
		}
		if !seen[repository] {
			seen[repository] = true
			names = append(names, repository)
		}
		e, p := entryOf(repository, tag, desc)
		if p != nil {
			s.problems[repository] = append(s.problems[repository], *p)
			continue
		}
		s.entries[repository] = append(s.entries[repository], e)
	}
	slices.Sort(names)
	return names, nil
}

// split reads a name of a layout: a tag, repository:tag, or registry.example/repository:tag; repository@digest has no tag.
func (s *layoutSource) split(name string) (repository, tag string) {
	if repository, _, byDigest := strings.Cut(name, "@"); byDigest {
		return repository, ""
	}
	i := strings.LastIndexByte(name, ':')
	if strings.ContainsRune(name[i+1:], '/') { // the colon is that of a port, or there is none
		return name, "latest"
	}
	if i < 0 {
		return s.repository, name
	}
	return name[:i], name[i+1:]
}

// entryOf checks a descriptor of an index that names manifests.
func entryOf(repository, tag string, desc oci.Descriptor) (Entry, *Problem) {
	e := Entry{Digest: desc.Digest, MediaType: desc.MediaType}
	d, err := oci.ParseDigest(string(desc.Digest))
	if err == nil && tag != "" {
		e.Tag, err = oci.ParseTag(tag)
	}
	if err != nil {
		return e, &Problem{Repository: repository, Tag: tag, Digest: d, Err: err.Error()}
	}
	return e, nil
}

// Entries implements Source.
func (s *layoutSource) Entries(_ context.Context, repository string) ([]Entry, []Problem, error) {
	return s.entries[repository], s.problems[repository], nil
}

// Open implements Source.
func (s *layoutSource) Open(_ context.Context, _ string, d oci.Digest) (io.ReadCloser, int64, error) {
	return s.layout.Open(d)
}
