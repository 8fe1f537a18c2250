package move

import (
	"context"
	"io"
	"time"

	"holdfast/internal/oci"
)

// Source is where images come from. Safe for concurrent use.
type Source interface {
	// Repositories returns the names of the repositories, as they are called there, in byte order. It is called first.
	Repositories(ctx context.Context) ([]string, error)

	// Entries returns what a repository names, in the order in which it is to be pushed. What it cannot make sense of is a Problem.
	Entries(ctx context.Context, repository string) ([]Entry, []Problem, error)

	// Open reads a blob or a manifest of a repository, and returns its size, -1 if unknown. The bytes need not be those of the digest. Errors: fs.ErrNotExist.
	Open(ctx context.Context, repository string, d oci.Digest) (io.ReadCloser, int64, error)
}

// Entry is a manifest that a repository names.
type Entry struct {
	Tag       oci.Tag // "" for one that is there without a tag
	Digest    oci.Digest
	MediaType string    // "" when the manifest says it
	Pushed    time.Time // zero when that is not known
	By        string    // who pushed it; "" when that is not known
}

// RefName is the annotation with the name of a manifest in a layout: a tag, or a repository and a tag.
const RefName = "org.opencontainers.image.ref.name"
