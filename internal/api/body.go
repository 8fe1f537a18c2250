package api

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// minBytesPerSecond is the rate below which a body is cut, measured over one progress time-out.
const minBytesPerSecond = 1024

// boundBody bounds the wait for a body that no handler reads, or not to its end: net/http reads some of what
// is left before it answers, and after, for as long as the connection's read deadline lets it.
func (h *Handler) boundBody(w http.ResponseWriter, r *http.Request) {
	if h.cfg.Progress > 0 && r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.cfg.Progress)) // not supported by test recorders only
	}
}

// pacedBody reads a request's body and moves the connection's read deadline on while the client makes
// progress, so that what is bounded is the lack of it, not the length of an upload.
type pacedBody struct {
	body     io.ReadCloser
	control  *http.ResponseController
	window   time.Duration // 0: no bound
	quota    int64         // bytes that a window must bring
	got      int64
	deadline time.Time
}

func newPacedBody(w http.ResponseWriter, r *http.Request, window time.Duration) *pacedBody {
	return &pacedBody{body: r.Body, control: http.NewResponseController(w), window: window, quota: int64(window.Seconds() * minBytesPerSecond)}
}

// Read implements io.Reader.
func (b *pacedBody) Read(p []byte) (int, error) {
	if b.window > 0 && (b.deadline.IsZero() || b.got >= b.quota) {
		b.got = 0
		b.deadline = time.Now().Add(b.window)
		_ = b.control.SetReadDeadline(b.deadline) // not supported by test recorders only
	}
	n, err := b.body.Read(p)
	b.got += int64(n)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{}) // the store may take longer than the client did
	}
	return n, err
}

// begunBody remembers whether anybody has begun to read it, which is what gives a client leave to send it.
type begunBody struct {
	io.ReadCloser
	begun bool
}

// of returns the request with this body. The request itself keeps its own, by which net/http knows what to do with the rest.
func (b *begunBody) of(r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	with := r.WithContext(r.Context())
	with.Body = b
	return with
}

// Read implements io.Reader.
func (b *begunBody) Read(p []byte) (int, error) {
	b.begun = true
	return b.ReadCloser.Read(p)
}

// What is read of a body that is answered before its end, so that the client, and a proxy between, can go on
// with the connection: an answer before the body's end, followed by a close, is lost on some of them.
const (
	maxDrain       = 64 << 20
	maxDrainTime   = 10 * time.Second
	maxUnaskedTime = time.Second // for a client that waits for leave to send its body
)

// drain reads the rest of a request's body, within bounds; begun says that some of it was read before. It does not when
// the client waits for leave to send it, or when the body was refused for its length.
func (h *Handler) drain(w http.ResponseWriter, r *http.Request, begun bool, status int) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength > maxDrain ||
		status == http.StatusRequestEntityTooLarge || status == http.StatusRequestTimeout {
		return
	}
	control := http.NewResponseController(w)
	if r.Header.Get("Expect") != "" && !begun {
		_ = control.SetReadDeadline(time.Now().Add(maxUnaskedTime)) // not supported by test recorders only
		return
	}
	wait := maxDrainTime
	if h.cfg.Progress > 0 {
		wait = min(wait, h.cfg.Progress)
	}
	_ = control.SetReadDeadline(time.Now().Add(wait)) // not supported by test recorders only
	_, err := io.CopyN(io.Discard, r.Body, maxDrain)  // its error is the connection's end, seen by the next read
	if err == nil || !errors.Is(err, io.EOF) {
		w.Header().Set("Connection", "close")
		return // the deadline stays: see boundBody
	}
	_ = control.SetReadDeadline(time.Time{})
}

// bodyAnswer is the answer to a body that could not be read.
func bodyAnswer(err *registry.BodyError) (int, []*oci.Error) {
	var netErr net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout() {
		return http.StatusRequestTimeout, []*oci.Error{oci.Errorf(oci.BlobUploadInvalid, "the body came slower than %d bytes a second", minBytesPerSecond)}
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge, []*oci.Error{oci.Errorf(oci.ManifestInvalid, "a manifest has at most %d bytes", tooLarge.Limit)}
	}
	return http.StatusBadRequest, []*oci.Error{oci.Errorf(oci.SizeInvalid, "the body broke off")}
}

// pacedWriter writes a response and moves the connection's write deadline on with every write.
type pacedWriter struct {
	w       io.Writer
	control *http.ResponseController
	window  time.Duration
}

// writeUnit is how much is written under one deadline.
const writeUnit = 64 << 10

// Write implements io.Writer.
func (p *pacedWriter) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		if p.window > 0 {
			_ = p.control.SetWriteDeadline(time.Now().Add(p.window)) // not supported by test recorders only
		}
		n, err := p.w.Write(b[:min(len(b), writeUnit)])
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}
