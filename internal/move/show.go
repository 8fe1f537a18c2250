package move

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"holdfast/internal/oci"
)

// Where a backup shows the repositories of its newest snapshot as layouts of their own, for programs that read one repository:
// repositories/team/app/_oci has an index.json with the tags, and shares the blobs. "_oci" is no part of a repository's name.
const (
	shownName = "repositories"
	shownLeaf = "_oci"
)

func (l *Layout) shown(repo oci.Repository) string {
	return filepath.Join(l.dir, shownName, filepath.FromSlash(string(repo)), shownLeaf)
}

// showRepositories makes the layouts of repositories what a snapshot says. It comes before the snapshot is named, so that a
// backup that dies between shows them again the next time. Where there are no symbolic links nothing is shown.
func (l *Layout) showRepositories(before, now map[oci.Repository]oci.Descriptor) error {
	for repo, desc := range now {
		if before[repo].Digest == desc.Digest {
			continue
		}
		if err := l.show(repo, desc); err != nil {
			return err
		}
	}
	for repo := range before {
		if _, there := now[repo]; there {
			continue
		}
		if err := os.RemoveAll(l.shown(repo)); err != nil {
			return &LayoutError{err}
		}
		for dir := filepath.Dir(l.shown(repo)); dir != filepath.Join(l.dir, shownName); dir = filepath.Dir(dir) {
			if os.Remove(dir) != nil {
				break // other repositories are below it
			}
		}
	}
	return nil
}

func (l *Layout) show(repo oci.Repository, desc oci.Descriptor) error {
	dir := l.shown(repo)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return &LayoutError{err}
	}
	up := strings.Repeat("../", strings.Count(string(repo), "/")+3)
	err := os.Symlink(up+blobsName, filepath.Join(dir, blobsName))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return os.RemoveAll(dir)
	}
	if err := copyFile(l.path(desc.Digest), filepath.Join(dir, indexName)); err != nil {
		return err
	}
	return copyFile(filepath.Join(l.dir, layoutName), filepath.Join(dir, layoutName))
}

// copyFile replaces a file whole.
func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("move: read %s: %w", from, err)
	}
	f, err := os.CreateTemp(filepath.Dir(to), tempPrefix)
	if err != nil {
		return &LayoutError{err}
	}
	if _, err := f.Write(text); err != nil {
		return &LayoutError{errors.Join(err, f.Close(), os.Remove(f.Name()))}
	}
	return place(f, to)
}

// sweep removes the blobs that no snapshot needs. It reads all snapshots and their manifests; when one cannot be read
// nothing is removed. Only while the layout is locked.
func (l *Layout) sweep(ctx context.Context, snapshots []Snapshot) (removed int, err error) {
	needed, walked := map[oci.Digest]bool{}, map[oci.Digest]bool{}
	for _, s := range snapshots {
		repos, err := l.repositories(s)
		if err != nil {
			return 0, err
		}
		needed[s.desc.Digest] = true
		for _, repo := range repos {
			if walked[repo.Digest] {
				continue
			}
			needed[repo.Digest], walked[repo.Digest] = true, true
			index, err := l.readIndexBlob(repo)
			if err != nil {
				return 0, err
			}
			for _, desc := range index.Manifests {
				if err := l.need(ctx, needed, walked, desc.Digest, desc.MediaType); err != nil {
					return 0, err
				}
			}
		}
	}
	return l.removeBut(needed)
}

// removeBut removes all blobs but those that are needed.
func (l *Layout) removeBut(needed map[oci.Digest]bool) (removed int, err error) {
	err = l.files(func(path string, d oci.Digest) error {
		if d == "" || needed[d] {
			return nil
		}
		removed++
		return os.Remove(path)
	})
	return removed, err
}

// removeUnfinished removes what calls left that were killed while they copied. Only while the layout is locked.
func (l *Layout) removeUnfinished() error {
	return l.files(func(path string, _ oci.Digest) error {
		if strings.HasPrefix(filepath.Base(path), tempPrefix) {
			return os.Remove(path)
		}
		return nil
	})
}

// files calls do for each file among the blobs, with its digest, or "" for what is no blob.
func (l *Layout) files(do func(path string, d oci.Digest) error) error {
	blobs := filepath.Join(l.dir, blobsName)
	algorithms, err := os.ReadDir(blobs)
	if err != nil {
		return &LayoutError{err}
	}
	for _, algorithm := range algorithms {
		if !algorithm.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(blobs, algorithm.Name()))
		if err != nil {
			return &LayoutError{err}
		}
		for _, file := range files {
			d, err := oci.ParseDigest(algorithm.Name() + ":" + file.Name())
			if err != nil {
				d = ""
			}
			if err := do(filepath.Join(blobs, algorithm.Name(), file.Name()), d); err != nil {
				return &LayoutError{err}
			}
		}
	}
	return nil
}

// need marks a manifest and all that it refers to.
func (l *Layout) need(ctx context.Context, needed, walked map[oci.Digest]bool, d oci.Digest, mediaType string) error {
	if walked[d] {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	needed[d], walked[d] = true, true
	body, err := l.ReadBytes(d, oci.MaxManifestBytes)
	if err != nil {
		return fmt.Errorf("move: a snapshot needs the manifest %s: nothing is removed: %w", d, err)
	}
	m, err := oci.ParseManifest(mediaType, body)
	if err != nil {
		return fmt.Errorf("move: a snapshot needs the manifest %s: nothing is removed: %w", d, err)
	}
	for _, blob := range m.BlobDigests() {
		needed[blob] = true
	}
	for _, child := range m.Children {
		if err := l.need(ctx, needed, walked, child.Digest, child.MediaType); err != nil {
			return err
		}
	}
	return nil
}
