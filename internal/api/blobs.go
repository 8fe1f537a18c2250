package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// getBlob serves end-2. Spec: "Pulling blobs"; ranges as RFC 9110, 14.
func (h *Handler) getBlob(w *recorder, r *http.Request, repo oci.Repository, last string) error {
	d, err := oci.ParseDigest(last)
	if err != nil {
		return err
	}
	ctx := r.Context()
	if r.Header.Get("Range") == "" && r.Header.Get("If-None-Match") == "" {
		ctx = registry.ExpectWhole(ctx)
	}
	blob, err := h.registry.Blob(ctx, repo, d)
	if err != nil {
		return err
	}
	if setBlobHeaders(w, r, blob) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	rng := byteRange{length: blob.Size, whole: true}
	if header := r.Header.Get("Range"); header != "" && ifRange(r, d) {
		var ok bool
		if rng, ok = parseRange(header, blob.Size); !ok {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", blob.Size))
			return &oci.Error{Code: oci.Unsupported, Reason: oci.OutOfRange, Message: fmt.Sprintf("the blob has %d bytes", blob.Size), Detail: oci.Field{Field: "Range", Got: oci.Clip(header)}}
		}
	}
	if rng.whole {
		url, err := blob.Bytes.URL(r.Context(), h.cfg.RedirectTTL)
		if err != nil {
			return err
		}
		if url != "" {
			w.Header().Set("Location", url)
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return nil
		}
	}
	return h.sendBlob(w, r, blob, rng)
}

func (h *Handler) sendBlob(w *recorder, r *http.Request, blob *registry.Blob, rng byteRange) error {
	body, err := blob.Bytes.Open(r.Context(), rng.offset, rng.length)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // read to its end below, or broken off anyway
	status := http.StatusOK
	if !rng.whole {
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", rng.offset, rng.offset+rng.length-1, blob.Size))
	}
	out := &pacedWriter{w: w, control: http.NewResponseController(w), window: h.cfg.Progress}
	begin := func() {
		w.Header().Set("Content-Length", strconv.FormatInt(rng.length, 10))
		w.WriteHeader(status)
	}
	if file, ok := body.(io.WriterTo); ok && plain(r) {
		begin()
		return whole(rng.length)(file.WriteTo(out))
	}
	// The first bytes are read before the header goes out: a store that fails at once is a 503.
	buf := sendBuffers.Get().(*[]byte)
	defer sendBuffers.Put(buf)
	n, err := io.ReadFull(body, (*buf)[:min(int64(len(*buf)), rng.length)])
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	begin()
	if _, err = out.Write((*buf)[:n]); err != nil {
		return fmt.Errorf("%w: %w", errNotWhole, err)
	}
	return whole(rng.length - int64(n))(io.CopyBuffer(onlyWriter{out}, onlyReader{body}, *buf))
}

// plain reports whether the kernel can send a file to the client: the bytes on the connection are the answer's.
func plain(r *http.Request) bool { return r.ProtoMajor == 1 && r.TLS == nil }

// whole judges what came of sending length bytes.
func whole(length int64) func(sent int64, err error) error {
	return func(sent int64, err error) error {
		if err == nil && sent != length {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errNotWhole, err)
		}
		return nil
	}
}

// onlyReader and onlyWriter have io.CopyBuffer use its buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

var sendBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// headBlob serves end-2 for HEAD. Spec: "Checking if content exists in the registry".
func (h *Handler) headBlob(w *recorder, r *http.Request, repo oci.Repository, last string) error {
	d, err := oci.ParseDigest(last)
	if err != nil {
		return err
	}
	blob, err := h.registry.StatBlob(r.Context(), repo, d)
	if err != nil {
		return err
	}
	if setBlobHeaders(w, r, blob) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Length", strconv.FormatInt(blob.Size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

// setBlobHeaders sets the headers of a blob and reports whether the client has it already. Its type is
// never the client's: nothing that was pushed is run by a browser.
func setBlobHeaders(w http.ResponseWriter, r *http.Request, blob *registry.Blob) (notModified bool) {
	h, values := w.Header(), new(headerValues)
	values.set(h, 0, "Docker-Content-Digest", string(blob.Digest))
	values.set(h, 1, "Etag", etag(blob.Digest))
	h["Cache-Control"] = immutableHeader
	h["Accept-Ranges"] = bytesHeader
	h["Content-Type"] = streamHeader
	h["Content-Disposition"] = attachedHeader
	return matches(r.Header.Values("If-None-Match"), blob.Digest)
}

// deleteBlob serves end-10. Spec: "Deleting Blobs".
func (h *Handler) deleteBlob(w *recorder, r *http.Request, repo oci.Repository, last string) error {
	d, err := oci.ParseDigest(last)
	if err != nil {
		return err
	}
	if err := h.registry.DeleteBlob(r.Context(), repo, d); err != nil {
		return err
	}
	w.Header().Set("Docker-Content-Digest", string(d))
	w.WriteHeader(http.StatusAccepted)
	return nil
}
