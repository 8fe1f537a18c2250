package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// chunkMinLength is announced on POST: smaller chunks are accepted, larger ones are better.
const chunkMinLength = 5 << 20

// postUpload serves end-4a, end-4b, end-4c and end-11. Spec: "Pushing blobs", "Mounting a blob from
// another repository".
func (h *Handler) postUpload(w *recorder, r *http.Request, repo oci.Repository, _ string) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	mount, mounting, err := one(q, "mount")
	if err != nil {
		return err
	}
	text, whole, err := one(q, "digest")
	if err != nil {
		return err
	}
	from, _, err := one(q, "from")
	if err != nil {
		return err
	}
	algorithm, named, err := one(q, "digest-algorithm")
	if err != nil {
		return err
	}
	alg := digest.SHA256
	if named {
		if alg, err = oci.ParseAlgorithm(algorithm); err != nil {
			return err
		}
	}
	switch {
	case mounting:
		mounted, err := h.mount(w, r, repo, mount, from)
		if mounted || err != nil {
			return err
		}
	case whole:
		return h.pushBlob(w, r, repo, text)
	}
	u, err := h.registry.StartUpload(r.Context(), repo, alg)
	if err != nil {
		return err
	}
	w.Header().Set("Oci-Chunk-Min-Length", strconv.Itoa(chunkMinLength))
	setUploadHeaders(w, repo, u)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// mount tries to mount a blob; false means that the client uploads.
func (h *Handler) mount(w *recorder, r *http.Request, repo oci.Repository, text, from string) (bool, error) {
	d, err := oci.ParseDigest(text)
	if err != nil {
		return false, err
	}
	var source registry.Source
	if from != "" {
		if source.Repository, err = oci.ParseRepository(from); err != nil {
			return false, err
		}
	}
	err = h.registry.MountBlob(r.Context(), repo, d, source)
	if errors.Is(err, registry.ErrNotMounted) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	created(w, repo, d)
	return true, nil
}

func created(w http.ResponseWriter, repo oci.Repository, d oci.Digest) {
	w.Header().Set("Location", blobPath(repo, d))
	w.Header().Set("Docker-Content-Digest", string(d))
	w.WriteHeader(http.StatusCreated)
}

func (h *Handler) pushBlob(w *recorder, r *http.Request, repo oci.Repository, text string) error {
	d, err := oci.ParseDigest(text)
	if err != nil {
		return err
	}
	if err := h.registry.PushBlob(r.Context(), repo, d, h.newPacedBody(w, r), r.ContentLength); err != nil {
		return err
	}
	created(w, repo, d)
	return nil
}

// getUpload serves end-13.
func (h *Handler) getUpload(w *recorder, r *http.Request, repo oci.Repository, id string) error {
	u, err := h.registry.UploadStatus(r.Context(), repo, id)
	if err != nil {
		return err
	}
	setUploadHeaders(w, repo, u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// patchUpload serves end-5. Spec: "Pushing a blob in chunks".
func (h *Handler) patchUpload(w *recorder, r *http.Request, repo oci.Repository, id string) error {
	chunk, err := h.chunk(w, r)
	if err != nil {
		return err
	}
	u, err := h.registry.AppendUpload(r.Context(), repo, id, chunk)
	if err != nil {
		return offset(w, repo, err)
	}
	setUploadHeaders(w, repo, u)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// putUpload serves end-6.
func (h *Handler) putUpload(w *recorder, r *http.Request, repo oci.Repository, id string) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	text, there, err := one(q, "digest")
	if err != nil {
		return err
	}
	if !there {
		return &oci.Error{Code: oci.DigestInvalid, Message: "query parameter digest is missing", Detail: oci.Field{Field: "digest"}}
	}
	d, err := oci.ParseDigest(text)
	if err != nil {
		return err
	}
	chunk, err := h.chunk(w, r)
	if err != nil {
		return err
	}
	if err := h.registry.CommitUpload(r.Context(), repo, id, d, chunk); err != nil {
		return offset(w, repo, err)
	}
	created(w, repo, d)
	return nil
}

// deleteUpload serves end-14. Spec: "Cancel a blob upload".
func (h *Handler) deleteUpload(w *recorder, r *http.Request, repo oci.Repository, id string) error {
	if err := h.registry.CancelUpload(r.Context(), repo, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// chunk reads what the headers say of a chunk. Errors: BLOB_UPLOAD_INVALID, SIZE_INVALID.
func (h *Handler) chunk(w http.ResponseWriter, r *http.Request) (registry.Chunk, error) {
	first, last, err := parseContentRange(r.Header)
	if err != nil {
		return registry.Chunk{}, err
	}
	size := r.ContentLength
	if first >= 0 {
		announced := last - first + 1
		if size >= 0 && size != announced {
			return registry.Chunk{}, &oci.Error{
				Code: oci.SizeInvalid, Message: fmt.Sprintf("%d bytes announced by Content-Length, %d in Content-Range", size, announced),
				Detail: oci.Field{Field: "Content-Range", Got: oci.Clip(r.Header.Get("Content-Range"))},
			}
		}
		size = announced
	}
	return registry.Chunk{Start: first, Size: size, Body: h.newPacedBody(w, r)}, nil
}

// offset adds to an error about a chunk's place where the upload is, so that the client can go on.
func offset(w http.ResponseWriter, repo oci.Repository, err error) error {
	var wrong *registry.OffsetError
	if errors.As(err, &wrong) {
		setUploadHeaders(w, repo, wrong.Upload)
	}
	return err
}

// setUploadHeaders says where an upload goes on and what it holds. An upload that holds nothing says
// "0-0", as every registry does: the spec's form cannot say "nothing".
func setUploadHeaders(w http.ResponseWriter, repo oci.Repository, u registry.Upload) {
	w.Header().Set("Location", uploadPath(repo, u.ID))
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, u.Offset-1)))
	w.Header().Set("Docker-Upload-Uuid", u.ID)
}
