package registry

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
)

// Registry is what a registry does, without HTTP. Every method may be called at once by any number of
// callers, at any replica. A nil error means that the effect is durable and visible at every replica.
// An *oci.Error says what was wrong with the request; any other error says nothing about whether
// something exists: the operation took place wholly, or will, or not at all.
type Registry interface {
	Blobs
	Uploads
	Manifests
	Lists
}

// Blobs are the bytes that manifests refer to.
type Blobs interface {
	// Blob finds a blob in a repository (spec: end-2). Errors: BLOB_UNKNOWN; UNAVAILABLE when its bytes
	// at rest are known to be damaged.
	Blob(ctx context.Context, repo oci.Repository, d oci.Digest) (*Blob, error)

	// StatBlob is Blob for a client that asks whether it must push (HEAD). What it finds stays at
	// least half the grace. A damaged blob is BLOB_UNKNOWN, so that clients push it again.
	StatBlob(ctx context.Context, repo oci.Repository, d oci.Digest) (*Blob, error)

	// MountBlob makes a blob of another repository visible in repo (end-11). Errors: ErrNotMounted when
	// there is nothing to mount; then the client uploads.
	MountBlob(ctx context.Context, repo oci.Repository, d oci.Digest, from Source) error

	// PushBlob stores a whole blob (end-4b). size is the body's length, -1 if unknown. Errors:
	// DIGEST_INVALID, SIZE_INVALID.
	PushBlob(ctx context.Context, repo oci.Repository, d oci.Digest, body io.Reader, size int64) error

	// DeleteBlob removes a blob from a repository (end-10). Errors: BLOB_UNKNOWN; DENIED (InUse) while a
	// manifest of the repository refers to it.
	DeleteBlob(ctx context.Context, repo oci.Repository, d oci.Digest) error
}

// Blob is a blob that was found.
type Blob struct {
	Digest oci.Digest
	Size   int64
	Bytes  BlobBytes
}

// BlobBytes gives access to a blob's bytes.
type BlobBytes interface {
	// Open reads length bytes from offset; the range lies within the blob. A whole blob is hashed on
	// its way: when the bytes are not the digest's, the reader fails before the last of them. A reader
	// that is an io.WriterTo gives a file away, as data.FileReader says: it was hashed before, or is a part.
	Open(ctx context.Context, offset, length int64) (io.ReadCloser, error)

	// URL returns a URL that serves the whole blob without credentials until ttl has passed, or "" when
	// there is none.
	URL(ctx context.Context, ttl time.Duration) (string, error)
}

// Source says where a mount may take a blob from.
type Source struct {
	Repository oci.Repository            // "" means any repository that has it
	Allowed    func(oci.Repository) bool // what the caller may read; nil means everything
}

// Uploads bring a blob in by steps, each of which may happen at another replica. Every method but
// StartUpload answers BLOB_UPLOAD_UNKNOWN for an id that is not of this repository, or that was
// finished, cancelled or expired.
type Uploads interface {
	// StartUpload begins an upload (end-4a). It makes no store request. alg is what the digest will be of.
	StartUpload(ctx context.Context, repo oci.Repository, alg digest.Algorithm) (Upload, error)

	// AppendUpload adds a chunk (end-5). The upload that it returns is what is durable now. Errors:
	// BLOB_UPLOAD_INVALID (OutOfOrder) as an *OffsetError when the chunk does not begin at the upload's
	// offset, or when another chunk came first.
	AppendUpload(ctx context.Context, repo oci.Repository, id string, chunk Chunk) (Upload, error)

	// UploadStatus says how far an upload is (end-13).
	UploadStatus(ctx context.Context, repo oci.Repository, id string) (Upload, error)

	// CommitUpload ends an upload with an optional last chunk (end-6). The same call again gives the
	// same answer. Errors: DIGEST_INVALID when the bytes are not the digest's; the upload stays.
	CommitUpload(ctx context.Context, repo oci.Repository, id string, d oci.Digest, last Chunk) error

	// CancelUpload ends an upload without a blob (end-14).
	CancelUpload(ctx context.Context, repo oci.Repository, id string) error
}

// Upload is a blob on its way in. ID is a signed token of URL-safe characters; it changes with every
// answer, and the newest is the best one to use next.
type Upload struct {
	ID     string
	Offset int64 // bytes that are durable
}

// Chunk is a part of an upload. Start is the offset that the client says it begins at, or -1 when it
// does not say. Body nil is an empty chunk; Size is its length, -1 if unknown.
type Chunk struct {
	Start int64
	Size  int64
	Body  io.Reader
}

// ErrDeleted says that a manifest was deleted while it was pushed, before the push had set all its tags.
var ErrDeleted = errors.New("registry: the manifest was deleted while it was pushed")

// Manifests are the documents that name blobs, and tags the names for manifests.
type Manifests interface {
	// Resolve returns a manifest by tag or digest, byte for byte as it was pushed (end-3). Errors:
	// MANIFEST_UNKNOWN.
	Resolve(ctx context.Context, repo oci.Repository, ref oci.Reference) (*Stored, error)

	// PushManifest stores a manifest and sets tags to it (end-7). Errors: MANIFEST_INVALID, SIZE_INVALID,
	// DIGEST_INVALID; MANIFEST_BLOB_UNKNOWN as oci.Errors, one for each thing that it refers to and
	// that the repository does not have; UNAVAILABLE that wraps ErrDeleted.
	PushManifest(ctx context.Context, repo oci.Repository, push Push) (*Pushed, error)

	// DeleteTag removes a tag and leaves the manifest (end-9). Errors: MANIFEST_UNKNOWN.
	DeleteTag(ctx context.Context, repo oci.Repository, tag oci.Tag) error

	// DeleteManifest removes a manifest and every tag that holds it (end-9). Errors: MANIFEST_UNKNOWN.
	DeleteManifest(ctx context.Context, repo oci.Repository, d oci.Digest) error

	// DeleteManifestIf is DeleteManifest under a condition. allow is told every tag that names the manifest, in byte order, maybe several times; its error is
	// answered, and then nothing is deleted. A push that sets a tag meanwhile and is acknowledged was seen by allow, or comes after the
	// delete; one with a condition of its own (Push.Allow) never takes a tag for set that this delete has taken away.
	DeleteManifestIf(ctx context.Context, repo oci.Repository, d oci.Digest, allow func(tags []oci.Tag) error) error
}

// Stored is a manifest of the registry.
type Stored struct {
	Digest    oci.Digest
	MediaType string
	Body      []byte // not to be changed
}

// Push is a manifest on its way in.
type Push struct {
	ContentType string // the request's; "" when the body says it
	Body        []byte
	Digest      oci.Digest // what the client says it is; "" when it does not
	Tags        []oci.Tag  // none means that it is pushed by digest only

	// Allow, where there is one, is asked before a tag is set: was is what the tag names now, "" when it names nothing, and d what it is to name. All tags are asked for
	// before anything is written. Its error ends the push, which answers it and does not set that tag. What it was told still holds
	// when the tag is set: of two pushes at once that may set a tag only where there is none, one fails. It may be called by several goroutines at once, and again for
	// a tag.
	Allow func(tag oci.Tag, was, d oci.Digest) error
}

// Pushed is what PushManifest stored.
type Pushed struct {
	Digest  oci.Digest
	Subject oci.Digest // "" without a subject
}

// Lists show what there is, in byte order. A page holds at most n names, n ≥ 1, greater than last; More
// says whether there are more.
type Lists interface {
	// Tags lists the tags of a repository (end-8). Errors: NAME_UNKNOWN.
	Tags(ctx context.Context, repo oci.Repository, last string, n int) (Page[oci.Tag], error)

	// Repositories lists the repositories that have or had a manifest.
	Repositories(ctx context.Context, last string, n int) (Page[oci.Repository], error)

	// Referrers lists what refers to a subject by its subject field (end-12), by digest; none for a
	// subject or a repository that is not there.
	Referrers(ctx context.Context, repo oci.Repository, subject oci.Digest) ([]oci.Descriptor, error)
}

// Page is one page of a list.
type Page[T any] struct {
	Names []T
	More  bool
}

// ErrNotMounted says that MountBlob found nothing to mount. It tells nothing about what exists.
var ErrNotMounted = oci.Errorf(oci.BlobUnknown, "nothing to mount")

// OffsetError is a chunk at the wrong place. Upload says where the upload is.
type OffsetError struct{ Upload Upload }

// Error says where the next chunk begins.
func (e *OffsetError) Error() string { return e.Unwrap().Error() }

// Unwrap returns the error for the client.
func (e *OffsetError) Unwrap() error {
	return oci.Errorf(oci.BlobUploadInvalid, "the next byte of this upload is %d", e.Upload.Offset).With(oci.OutOfOrder)
}

// BodyError is an error in reading a request's body: the client's, or the connection's.
type BodyError struct{ Err error }

// Error names the cause.
func (e *BodyError) Error() string { return "reading the request's body: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *BodyError) Unwrap() error { return e.Err }
