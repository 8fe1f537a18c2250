package api

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inPieces is a connection that takes a file as the kernel does: so many bytes of it before a deadline passes.
type inPieces struct {
	overPipe
	pieces []int64
	lost   int64 // bytes of each piece that are read, and not sent
	calls  int
}

func (c *inPieces) ReadFrom(src io.Reader) (int64, error) {
	c.calls++
	if len(c.pieces) == 0 {
		return io.Copy(io.Discard, src)
	}
	n, err := io.CopyN(io.Discard, src, c.pieces[0])
	c.pieces = c.pieces[1:]
	return n - c.lost, errors.Join(err, os.ErrDeadlineExceeded)
}

// A client that takes a file slowly is bounded as one that takes bytes slowly: 64 KiB in a window.
func TestPaceOfFiles(t *testing.T) {
	const size = 1 << 20
	for name, row := range map[string]struct {
		pieces []int64
		lost   int64
		calls  int
		sent   int64
		cut    bool
	}{
		"fast":              {calls: 1, sent: size},
		"slow":              {pieces: []int64{writeUnit, 2 * writeUnit}, calls: 3, sent: size},
		"too slow":          {pieces: []int64{writeUnit, writeUnit - 1}, calls: 2, sent: 2*writeUnit - 1, cut: true},
		"through a buffer":  {pieces: []int64{2 * writeUnit}, lost: 1, calls: 1, sent: 2*writeUnit - 1, cut: true},
		"nothing is taken ": {pieces: []int64{0}, calls: 1, cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				defer client.Close() //nolint:errcheck // a pipe
				conn := &inPieces{overPipe: overPipe{httptest.NewRecorder(), server}, pieces: row.pieces, lost: row.lost}
				out := &pacedWriter{w: conn, control: http.NewResponseController(conn), window: time.Minute}
				sent, err := io.Copy(out, io.LimitReader(strings.NewReader(strings.Repeat("x", size)), size))
				if sent != row.sent || conn.calls != row.calls || errors.Is(err, os.ErrDeadlineExceeded) != row.cut {
					t.Errorf("%d bytes in %d calls, %v; want %+v", sent, conn.calls, err, row)
				}
			})
		})
	}
}

// A reader that is no file is written in pieces, each with its own deadline.
func TestPaceOfReaders(t *testing.T) {
	conn := &inPieces{overPipe: overPipe{ResponseWriter: httptest.NewRecorder()}}
	out := &pacedWriter{w: conn}
	if n, err := io.Copy(out, struct{ io.Reader }{strings.NewReader("content")}); n != 7 || err != nil || conn.calls != 0 {
		t.Errorf("%d bytes, %v, %d calls of ReadFrom", n, err, conn.calls)
	}
}
