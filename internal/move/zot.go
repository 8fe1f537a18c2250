package move

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"holdfast/internal/oci"
)

// zotSource is the storage of a zot registry: each repository is an OCI image layout in a folder of its name. With deduplication, equal blobs are
// hard links in a directory; in a bucket all but one are objects of no bytes, and only a database of zot's tells which one is not. Here the files
// are looked through instead, so that the database may be lost.
type zotSource struct {
	tree    Tree
	names   []string
	content map[oci.Digest]placed // where there are bytes
}

// placed is a file with the bytes of a blob.
type placed struct {
	folder string // shared by all blobs of a repository
	size   int64
}

// NewZot returns the images of zot's storage. Its root directory is the first of the folders in which there is anything: with S3, zot's keys have the root
// directory twice. zot must not run meanwhile.
func NewZot(ctx context.Context, tree Tree, folders ...string) (Source, error) {
	for _, folder := range folders {
		root := Below(tree, folder)
		if found, err := hasFiles(ctx, root); err != nil || found {
			return &zotSource{tree: root}, err
		}
	}
	return &zotSource{tree: tree}, nil
}

// Repositories implements Source. It lists all files, once, and keeps one place for each digest, some 150 bytes.
func (s *zotSource) Repositories(ctx context.Context) ([]string, error) {
	s.names, s.content = nil, map[oci.Digest]placed{}
	folders := map[string]string{}
	for f, err := range s.tree.Files(ctx, "") {
		if err != nil {
			return nil, err
		}
		if name, ok := strings.CutSuffix(f.Name, "/"+indexName); ok && !hidden(name) {
			s.names = append(s.names, name)
			continue
		}
		folder, d, ok := blobFile(f.Name)
		if !ok || strings.HasPrefix(folder, "_trash") {
			continue
		}
		if old, there := s.content[d]; there && old.size >= f.Size {
			continue
		}
		shared, there := folders[folder]
		if !there {
			shared = strings.Clone(folder)
			folders[shared] = shared
		}
		s.content[d] = placed{shared, f.Size}
	}
	slices.Sort(s.names)
	return s.names, nil
}

// hidden reports whether a folder is not a repository: zot's own begin with "_" or ".".
func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '_' || part[0] == '.' {
			return true
		}
	}
	return false
}

// blobFile splits folder/blobs/sha256/hex.
func blobFile(name string) (folder string, d oci.Digest, ok bool) {
	rest, hex := cutLast(name)
	rest, algorithm := cutLast(rest)
	folder, blobs := cutLast(rest)
	if blobs != blobsName {
		return "", "", false
	}
	d, err := oci.ParseDigest(algorithm + ":" + hex)
	return folder, d, err == nil
}

func cutLast(name string) (before, last string) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

// Entries implements Source.
func (s *zotSource) Entries(ctx context.Context, repository string) ([]Entry, []Problem, error) {
	body, err := readFile(ctx, s.tree, repository+"/"+indexName, maxIndexBytes)
	if err != nil {
		return nil, nil, err
	}
	index, err := parseIndex(body, repository+"/"+indexName)
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
		entries = append(entries, e)
	}
	return entries, problems, nil
}

// Open implements Source.
func (s *zotSource) Open(ctx context.Context, _ string, d oci.Digest) (io.ReadCloser, int64, error) {
	at, there := s.content[d]
	if !there {
		return nil, 0, fmt.Errorf("move: no repository has the bytes of %s: %w", d, fs.ErrNotExist)
	}
	r, err := s.tree.Open(ctx, strings.TrimPrefix(at.folder+"/"+blobsName+"/"+string(d.Algorithm())+"/"+d.Encoded(), "/"))
	return r, at.size, err
}
