package move

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
)

// Tree is the storage of another registry, read only: files under names with slashes, in a directory or a bucket. Nobody may write to it
// meanwhile; one that does is noticed only where digests do not match any more.
type Tree interface {
	// Files yields the files below a folder ("" for all, else with a slash at its end), in any order. A folder that is not there has none.
	Files(ctx context.Context, folder string) iter.Seq2[File, error]
	// Open reads a file. Errors: fs.ErrNotExist.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
}

// File is a file of a Tree.
type File struct {
	Name string
	Size int64
}

// Dir is a Tree of a directory.
type Dir string

// Files implements Tree.
func (d Dir) Files(ctx context.Context, folder string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		root := filepath.Join(string(d), filepath.FromSlash(folder))
		err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && name == root {
				return nil
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := os.Stat(name) // through symbolic links: blobs of layouts may be some
			if err != nil || !info.Mode().IsRegular() {
				return nil //nolint:nilerr // a link to nothing, or a socket: whoever needs it finds it missing
			}
			rel, err := filepath.Rel(string(d), name)
			if err != nil {
				return err
			}
			if !yield(File{filepath.ToSlash(rel), info.Size()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(File{}, fmt.Errorf("move: look into %s: %w", root, err))
		}
	}
}

// Open implements Tree.
func (d Dir) Open(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(string(d), filepath.FromSlash(name)))
	if err != nil {
		return nil, fmt.Errorf("move: open %s: %w", name, err)
	}
	return f, nil
}

// below is a folder of a Tree as a Tree.
type below struct {
	tree   Tree
	folder string // with a slash at its end
}

// Below returns a folder of a tree, "" for all of it.
func Below(tree Tree, folder string) Tree {
	if folder = path.Clean("/" + folder)[1:]; folder == "" {
		return tree
	}
	return below{tree, folder + "/"}
}

// Files implements Tree.
func (b below) Files(ctx context.Context, folder string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for f, err := range b.tree.Files(ctx, b.folder+folder) {
			if err == nil {
				f.Name = f.Name[len(b.folder):]
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

// Open implements Tree.
func (b below) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	return b.tree.Open(ctx, b.folder+name)
}

// hasFiles reports whether there is anything in a tree.
func hasFiles(ctx context.Context, tree Tree) (bool, error) {
	for _, err := range tree.Files(ctx, "") {
		return err == nil, err
	}
	return false, nil
}

// readFile reads a file of at most limit bytes.
func readFile(ctx context.Context, tree Tree, name string, limit int64) ([]byte, error) {
	r, err := tree.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("move: read %s: %w", name, err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("move: read %s: it has more than %d bytes", name, limit)
	}
	return text, nil
}
