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
	"slices"
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

// Files implements Tree. Symbolic links are followed, those to folders too: storage that outgrew its disk is spread by them. One that leads nowhere is an
// error, for what it should lead to may be a disk that is not mounted; one that leads to a folder that it is in is left out.
func (d Dir) Files(ctx context.Context, folder string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		dir, err := filepath.EvalSymlinks(filepath.Join(string(d), filepath.FromSlash(folder)))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		w := &dirWalk{ctx: ctx, yield: yield}
		if err == nil {
			err = w.folder(dir, folder, nil)
		}
		if err != nil {
			yield(File{}, fmt.Errorf("move: look into %s: %w", d, err))
		}
	}
}

// dirWalk yields the files of a directory.
type dirWalk struct {
	ctx     context.Context //nolint:containedctx // rules one walk
	yield   func(File, error) bool
	stopped bool // nobody wants more
}

// maxLinks is how many links to folders may be within each other.
const maxLinks = 8

// folder yields what is below dir, a path without links, by names that begin with name. links are the folders of the links that led here.
func (w *dirWalk) folder(dir, name string, links []string) error {
	return filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = w.ctx.Err()
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		called := path.Join(name, filepath.ToSlash(rel))
		switch {
		case info.IsDir():
			err = w.link(file, called, append(slices.Clone(links), filepath.Dir(file)))
		case info.Mode().IsRegular(): // a socket is no file of a registry
			w.stopped = !w.yield(File{called, info.Size()}, nil)
		}
		if w.stopped {
			return fs.SkipAll
		}
		return err
	})
}

// link yields what is in the folder that a link leads to.
func (w *dirWalk) link(file, name string, links []string) error {
	dir, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	if len(links) > maxLinks {
		return fmt.Errorf("%s is a link within %d others", file, maxLinks)
	}
	for _, from := range links {
		if rel, err := filepath.Rel(dir, from); err == nil && filepath.IsLocal(rel) {
			return nil // it is on the way to itself
		}
	}
	return w.folder(dir, name, links)
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
