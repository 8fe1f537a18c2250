package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// A manifest over smallManifest bytes, which few have, takes a turn: it is up to 4 MiB of memory, and several times that while it is parsed, so that a
// few at once are what a replica reads and pushes. Who has a turn must send faster than who has none.
const (
	smallManifest  = 64 << 10
	largeAtOnce    = 2
	largeWait      = 10 * time.Second
	minLargeRate   = 32 << 10 // bytes per second, over paceWindow
	manifestBuffer = oci.MaxManifestBytes + 1
)

// turns are the buffers of large manifests. One that is nil has not been made yet.
type turns chan []byte

func newTurns() turns {
	t := make(turns, largeAtOnce)
	for range largeAtOnce {
		t <- nil
	}
	return t
}

// take waits for a turn. Errors: TOOMANYREQUESTS when none comes in time; the context's.
func (t turns) take(ctx context.Context) ([]byte, error) {
	timer := time.NewTimer(largeWait)
	defer timer.Stop()
	select {
	case buf := <-t:
		if buf == nil {
			buf = make([]byte, manifestBuffer)
		}
		return buf, nil
	case <-timer.C:
		return nil, oci.Errorf(oci.TooManyRequests, "too many manifests of more than %d bytes at once: try again", smallManifest)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readManifest reads a manifest's bytes, at most what one may have. done, which is never nil, is called when they are needed no more.
func (h *Handler) readManifest(w http.ResponseWriter, r *http.Request) (body []byte, done func(), err error) {
	done = func() {}
	if r.ContentLength > oci.MaxManifestBytes {
		w.Header().Set("Connection", "close")
		return nil, done, oci.Errorf(oci.ManifestInvalid, "a manifest has at most %d bytes, this one has %d", oci.MaxManifestBytes, r.ContentLength).With(oci.TooLarge)
	}
	r.Body = http.MaxBytesReader(w, r.Body, oci.MaxManifestBytes)
	paced := h.newPacedBody(w, r)
	small, err := io.ReadAll(io.LimitReader(paced, smallManifest+1))
	if err != nil {
		return nil, done, &registry.BodyError{Err: err}
	}
	if len(small) <= smallManifest {
		return small, done, nil
	}
	buf, err := h.large.take(r.Context())
	if err != nil {
		return nil, done, err
	}
	done = func() { h.large <- buf }
	if paced.rate > 0 {
		paced.rate = max(paced.rate, minLargeRate)
	}
	n := copy(buf, small)
	for {
		more, err := paced.Read(buf[n:]) // never full: a byte too much is an error
		n += more
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return bytes.Clone(buf[:n]), done, nil // a registry may keep what it is given
		}
		if err != nil {
			return nil, done, &registry.BodyError{Err: err}
		}
	}
}
