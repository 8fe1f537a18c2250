package rows

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"holdfast/bench/load"
	"holdfast/bench/site"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// file writes a blob into the folder of nginx.
func (t *Target) file(b load.Blob) (func(context.Context) error, error) {
	name := t.Name("file")
	f, err := os.Create(filepath.Join(t.Folder, name))
	if err != nil {
		return nil, fmt.Errorf("rows: write a file: %w", err)
	}
	_, err = io.Copy(f, b.Reader())
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("rows: write a file: %w", err)
	}
	return func(ctx context.Context) error { return t.Client.Read(ctx, "/"+name, b.Size) }, nil
}

// fill gives each of the repositories an image under each of the tags. Pushing so many takes too long: the files that would have been
// written are written behind the subject's back, into its bucket or its directory.
func (t *Target) fill(ctx context.Context, repos []string, tags int) error {
	image, err := t.Content.Image(2, 4*kib)
	if err != nil {
		return err
	}
	switch {
	case t.Kind == site.Holdfast && t.Local:
		return t.push(ctx, repos, tags, image)
	case t.Kind == site.Holdfast:
		return t.fillHoldfast(ctx, repos, tags, image)
	}
	for _, repo := range repos {
		switch t.Kind {
		case site.Distribution:
			err = t.fillDistribution(repo, tags, image)
		case site.Zot:
			err = t.fillZot(repo, tags, image)
		default:
			err = fmt.Errorf("rows: no generator for %s", t.Kind)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func note(repo string, tag int) string { return fmt.Sprintf("%s:%06d", repo, tag) }
func tagName(tag int) string           { return fmt.Sprintf("v%06d", tag) }

// push pushes all of them, many tags at once.
func (t *Target) push(ctx context.Context, repos []string, tags int, image load.Image) error {
	const atOnce = 40
	return each(ctx, len(repos), 4, func(ctx context.Context, i int) error {
		for _, b := range append([]load.Blob{image.Config}, image.Layers...) {
			if err := t.Client.PutBlob(ctx, repos[i], b); err != nil {
				return err
			}
		}
		m, err := image.Manifest(repos[i])
		if err != nil {
			return err
		}
		return each(ctx, (tags+atOnce-1)/atOnce, 4, func(ctx context.Context, n int) error {
			query := make(url.Values)
			for tag := n * atOnce; tag < min(tags, (n+1)*atOnce); tag++ {
				query.Add("tag", tagName(tag))
			}
			return t.Client.PutManifest(ctx, repos[i], m.Digest+"?"+query.Encode(), m)
		})
	})
}

// Of ours, some are pushed, and the records that a list is made of are linked from them: nothing in a tag's record, or in a repository's,
// names itself. Some, because a file has at most 65 000 links.
const (
	reposPushed = 100  // of so many one is pushed, where there are more
	tagsPushed  = 1000 // of so many one is pushed
)

func (t *Target) fillHoldfast(ctx context.Context, repos []string, tags int, image load.Image) error {
	every := 1
	if len(repos) > reposPushed {
		every = reposPushed
	}
	pushed := (len(repos) + every - 1) / every
	err := each(ctx, pushed, 4, func(ctx context.Context, i int) error {
		repo := repos[i*every]
		for _, b := range append([]load.Blob{image.Config}, image.Layers...) {
			if err := t.Client.PutBlob(ctx, repo, b); err != nil {
				return err
			}
		}
		return each(ctx, (tags+tagsPushed-1)/tagsPushed, 8, func(ctx context.Context, n int) error {
			tag := n * tagsPushed
			m, err := image.Manifest(note(repo, tag))
			if err != nil {
				return err
			}
			return t.Client.PutManifest(ctx, repo, tagName(tag), m)
		})
	})
	if err != nil {
		return err
	}
	files := tree{root: filepath.Join(t.Root(), "holdfast")}
	for i, name := range repos {
		from, repo := oci.Repository(repos[i/every*every]), oci.Repository(name)
		files.link(format.RepositoryKey(from), format.RepositoryKey(repo))
		for tag := range tags {
			seed := oci.Tag(tagName(tag / tagsPushed * tagsPushed))
			files.link(format.TagKey(from, seed), format.TagKey(repo, oci.Tag(tagName(tag))))
		}
	}
	return files.err
}

// tree writes files below a folder.
type tree struct {
	root string
	err  error // the first
}

func (t *tree) write(name string, content []byte) {
	if t.err != nil {
		return
	}
	path := filepath.Join(t.root, name)
	if t.err = os.MkdirAll(filepath.Dir(path), 0o750); t.err == nil {
		t.err = os.WriteFile(path, content, 0o600)
	}
	if t.err != nil {
		t.err = fmt.Errorf("rows: generate %s: %w", name, t.err)
	}
}

// link gives a file a second name.
func (t *tree) link(from, to record.Key) {
	if t.err != nil || from == to {
		return
	}
	path := filepath.Join(t.root, string(to))
	if t.err = os.MkdirAll(filepath.Dir(path), 0o750); t.err == nil {
		t.err = os.Link(filepath.Join(t.root, string(from)), path)
	}
	if t.err != nil {
		t.err = fmt.Errorf("rows: generate %s: %w", to, t.err)
	}
}

func (t *tree) blob(name string, b load.Blob) {
	content, err := io.ReadAll(b.Reader())
	if t.err == nil {
		t.err = err
	}
	t.write(name, content)
}

func encoded(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

func (t *Target) fillDistribution(repo string, tags int, image load.Image) error {
	files := tree{root: filepath.Join(t.Root(), "docker/registry/v2")}
	of := "repositories/" + repo + "/"
	data := func(digest string) string {
		return "blobs/sha256/" + encoded(digest)[:2] + "/" + encoded(digest) + "/data"
	}
	for _, b := range append([]load.Blob{image.Config}, image.Layers...) {
		files.blob(data(b.Digest), b)
		files.write(of+"_layers/sha256/"+encoded(b.Digest)+"/link", []byte(b.Digest))
	}
	for tag := range tags {
		m, err := image.Manifest(note(repo, tag))
		if err != nil {
			return err
		}
		link := "/sha256/" + encoded(m.Digest) + "/link"
		files.write(data(m.Digest), m.Body)
		files.write(of+"_manifests/revisions"+link, []byte(m.Digest))
		files.write(of+"_manifests/tags/"+tagName(tag)+"/current/link", []byte(m.Digest))
		files.write(of+"_manifests/tags/"+tagName(tag)+"/index"+link, []byte(m.Digest))
	}
	return files.err
}

func (t *Target) fillZot(repo string, tags int, image load.Image) error {
	files := tree{root: filepath.Join(t.Root(), repo)}
	type entry struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int               `json:"size"`
		Annotations map[string]string `json:"annotations"`
	}
	index := struct {
		SchemaVersion int     `json:"schemaVersion"`
		MediaType     string  `json:"mediaType"`
		Manifests     []entry `json:"manifests"`
	}{SchemaVersion: 2, MediaType: "application/vnd.oci.image.index.v1+json"}
	for _, b := range append([]load.Blob{image.Config}, image.Layers...) {
		files.blob("blobs/sha256/"+encoded(b.Digest), b)
	}
	for tag := range tags {
		m, err := image.Manifest(note(repo, tag))
		if err != nil {
			return err
		}
		files.write("blobs/sha256/"+encoded(m.Digest), m.Body)
		index.Manifests = append(index.Manifests, entry{
			load.ManifestType, m.Digest, len(m.Body), map[string]string{"org.opencontainers.image.ref.name": tagName(tag)},
		})
	}
	text, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("rows: generate an index: %w", err)
	}
	files.write("index.json", text)
	files.write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return files.err
}
