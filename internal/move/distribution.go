package move

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"holdfast/internal/oci"
)

// distributionRoot is the folder of CNCF distribution's storage below its root directory.
const distributionRoot = "docker/registry/v2/"

// distributionSource is the storage of a CNCF distribution registry: blobs for all repositories, and for each repository files that hold nothing but a
// digest: its tags, its manifests and its layers.
type distributionSource struct {
	tree     Tree
	contents map[string]*contents
}

// contents is what a repository has.
type contents struct {
	tags      map[string]string // to the names of the files that hold the digests
	manifests map[oci.Digest]bool
}

// NewDistribution returns the images of a CNCF distribution registry, whose root directory the tree is.
func NewDistribution(tree Tree) Source { return &distributionSource{tree: tree} }

// Repositories implements Source. It lists all files of repositories, once.
func (s *distributionSource) Repositories(ctx context.Context) ([]string, error) {
	s.contents = map[string]*contents{}
	const folder = distributionRoot + "repositories/"
	for f, err := range s.tree.Files(ctx, folder) {
		if err != nil {
			return nil, err
		}
		name, rest, ok := strings.Cut(strings.TrimPrefix(f.Name, folder), "/_manifests/")
		if !ok {
			continue // layers, uploads
		}
		c := s.contents[name]
		if c == nil {
			c = &contents{map[string]string{}, map[oci.Digest]bool{}}
			s.contents[name] = c
		}
		parts := strings.Split(rest, "/")
		switch {
		case len(parts) == 4 && parts[0] == "tags" && parts[2] == "current" && parts[3] == "link":
			c.tags[parts[1]] = f.Name
		case len(parts) == 4 && parts[0] == "revisions" && parts[3] == "link" && f.Size > 0: // of one that was deleted nothing is left, or an empty file
			if d, err := oci.ParseDigest(parts[1] + ":" + parts[2]); err == nil {
				c.manifests[d] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(s.contents)), nil
}

// Entries implements Source: the tags, then the manifests that no tag names.
func (s *distributionSource) Entries(ctx context.Context, repository string) ([]Entry, []Problem, error) {
	c := s.contents[repository]
	var entries []Entry
	var problems []Problem
	tagged := map[oci.Digest]bool{}
	for _, tag := range slices.Sorted(maps.Keys(c.tags)) {
		e, err := s.tag(ctx, tag, c.tags[tag])
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case err == nil && !c.manifests[e.Digest]:
			err = fmt.Errorf("the manifest was deleted, the tag was not: %w", fs.ErrNotExist)
		}
		if err != nil {
			problems = append(problems, Problem{Repository: repository, Tag: tag, Digest: e.Digest, Err: err.Error()})
			continue
		}
		entries = append(entries, e)
		tagged[e.Digest] = true
	}
	for _, d := range slices.Sorted(maps.Keys(c.manifests)) {
		if !tagged[d] {
			entries = append(entries, Entry{Digest: d})
		}
	}
	return entries, problems, nil
}

func (s *distributionSource) tag(ctx context.Context, tag, file string) (Entry, error) {
	name, err := oci.ParseTag(tag)
	if err != nil {
		return Entry{}, err
	}
	text, err := readFile(ctx, s.tree, file, 1024)
	if err != nil {
		return Entry{}, err
	}
	d, err := oci.ParseDigest(strings.TrimSpace(string(text)))
	return Entry{Tag: name, Digest: d}, err
}

// Open implements Source.
func (s *distributionSource) Open(ctx context.Context, _ string, d oci.Digest) (io.ReadCloser, int64, error) {
	r, err := s.tree.Open(ctx, distributionRoot+"blobs/"+string(d.Algorithm())+"/"+d.Encoded()[:2]+"/"+d.Encoded()+"/data")
	return r, -1, err
}
