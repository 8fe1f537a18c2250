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

// A body is cut when it brings fewer bytes a second than this, while paceWindow, or a progress time-out that is shorter, is waited for it.
const (
	defaultMinBodyRate = 1024
	paceWindow         = 30 * time.Second
)

// boundBody bounds the wait for a body that no handler reads, or not to its end: net/http reads some of what
// is left before it answers, and after, for as long as the connection's read deadline lets it.
func (h *Handler) boundBody(w http.ResponseWriter, r *http.Request) {
	if h.cfg.Progress > 0 && r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.cfg.Progress)) // not supported by test recorders only
	}
}

// pacedBody reads a request's body and moves the connection's read deadline on while the client makes
// progress, so that what is bounded is the lack of it, not the length of an upload. Only the time counts that the client is waited for: the store may be slow.
type pacedBody struct {
	body    io.ReadCloser
	control *http.ResponseController
	window  time.Duration // 0: no bound
	rate    int64         // 0: any byte is progress
	got     int64         // of this window
	waited  time.Duration // in this window
}

func (h *Handler) newPacedBody(w http.ResponseWriter, r *http.Request) *pacedBody {
	b := &pacedBody{body: r.Body, control: http.NewResponseController(w), window: h.cfg.Progress, rate: max(0, h.cfg.MinBodyRate)}
	if b.rate > 0 {
		b.window = min(b.window, paceWindow)
	}
	return b
}

// Read implements io.Reader. Errors: a slowError, when the client does not keep its pace.
func (b *pacedBody) Read(p []byte) (int, error) {
	if b.window <= 0 {
		return b.body.Read(p)
	}
	began := time.Now()
	_ = b.control.SetReadDeadline(began.Add(b.window - b.waited)) // not supported by test recorders only
	n, err := b.body.Read(p)
	b.got += int64(n)
	if b.waited += time.Since(began); b.got > 0 && b.got >= int64(b.window.Seconds()*float64(b.rate)) {
		b.got, b.waited = 0, 0
	}
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{}) // the store may take longer than the client did
	}
	if err != nil && timedOut(err) {
		err = &slowError{b.rate, err}
	}
	return n, err
}

// slowError is a body that came slower than rate bytes a second; 0: that stopped.
type slowError struct {
	rate int64
	err  error
}

// Error implements error.
func (e *slowError) Error() string { return "api: the body came too slowly: " + e.err.Error() }

// Unwrap returns the connection's error.
func (e *slowError) Unwrap() error { return e.err }

func timedOut(err error) bool {
	var netErr net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
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
	var slow *slowError
	switch {
	case errors.As(err, &slow) && slow.rate > 0:
		return http.StatusRequestTimeout, []*oci.Error{oci.Errorf(oci.BlobUploadInvalid, "the body came slower than %d bytes a second", slow.rate)}
	case timedOut(err):
		return http.StatusRequestTimeout, []*oci.Error{oci.Errorf(oci.BlobUploadInvalid, "the body stopped before its end")}
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge, []*oci.Error{oci.Errorf(oci.ManifestInvalid, "a manifest has at most %d bytes", tooLarge.Limit)}
	}
	return http.StatusBadRequest, []*oci.Error{oci.Errorf(oci.SizeInvalid, "the body broke off")}
}

// boundAnswer bounds the wait for a client that does not read an answer. A long one moves the deadline on: see pacedWriter.
func (h *Handler) boundAnswer(w http.ResponseWriter) {
	if h.cfg.Progress > 0 {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.cfg.Progress)) // not supported by test recorders only
	}
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
