package api

import (
	"io"
	"net/http"
	"time"
)

// ReadFrom implements io.ReaderFrom: a file goes on to the connection as a file, and leaves by sendfile(2).
func (w *recorder) ReadFrom(src io.Reader) (int64, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return io.Copy(w.ResponseWriter, src)
}

// ReadFrom implements io.ReaderFrom. A file, as an *io.LimitedReader, is sent in one piece; the deadline is moved on when it passes after the client took
// writeUnit bytes or more, so that a client is bounded as by Write.
func (p *pacedWriter) ReadFrom(src io.Reader) (int64, error) {
	file, ok := src.(*io.LimitedReader)
	if !ok {
		return io.Copy(onlyWriter{p}, src)
	}
	var sent int64
	for {
		if p.window > 0 {
			_ = p.control.SetWriteDeadline(time.Now().Add(p.window)) // not supported by test recorders only
		}
		left := file.N
		n, err := io.Copy(p.w, file)
		sent += n
		// What was read of the file and not sent is lost, where the kernel did not send it by itself.
		if err == nil || !timedOut(err) || n < writeUnit || left-file.N != n {
			return sent, err
		}
	}
}
