package api

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/registry"
)

// overPipe is a response whose connection is one end of a pipe.
type overPipe struct {
	http.ResponseWriter
	net.Conn
}

func (o overPipe) Write(p []byte) (int, error)        { return o.ResponseWriter.Write(p) }
func (o overPipe) SetReadDeadline(at time.Time) error { return o.Conn.SetReadDeadline(at) }

// A58: what is bounded is how slow a client is, over 30 s; not how long an upload takes, and not how long the store does.
func TestPace(t *testing.T) {
	for name, row := range map[string]struct {
		progress     time.Duration
		rate         int64
		piece        int
		every, store time.Duration
		cutAfter     time.Duration // 0: not within ten minutes
		says         string
	}{
		"a byte a second":                  {time.Minute, 0, 1, time.Second, 0, 30 * time.Second, "1024 bytes a second"},
		"half the rate":                    {time.Minute, 0, 512, time.Second, 0, 30 * time.Second, "1024 bytes a second"},
		"the rate":                         {time.Minute, 0, 1100, time.Second, 0, 0, ""},
		"the rate, in bursts":              {time.Minute, 0, 30 << 10, 29 * time.Second, 0, 0, ""},
		"a rate of the configuration":      {time.Minute, 10 << 10, 1100, time.Second, 0, 30 * time.Second, "10240 bytes a second"},
		"no rate: a byte in the time-out":  {time.Minute, -1, 1, 59 * time.Second, 0, 0, ""},
		"no rate, and no byte":             {time.Minute, -1, 1, 61 * time.Second, 0, time.Minute, "stopped"},
		"a shorter time-out":               {10 * time.Second, 0, 1, time.Second, 0, 10 * time.Second, "1024 bytes a second"},
		"no time-out":                      {0, 0, 1, 9 * time.Minute, 0, 0, ""},
		"a slow store is not the client's": {time.Minute, 0, 1, time.Millisecond, 2 * time.Second, 0, ""},
		"a slow client and a slow store":   {time.Minute, 0, 1, 4 * time.Second, 2 * time.Second, 58 * time.Second, "1024 bytes a second"}, // 30 s of waiting, 2 s in each turn of 4 s
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				end := make(chan struct{})
				var sending sync.WaitGroup
				sending.Go(func() {
					for piece := []byte(strings.Repeat("x", row.piece)); ; {
						select {
						case <-end:
							return
						case <-time.After(row.every):
						}
						if _, err := client.Write(piece); err != nil {
							return
						}
					}
				})
				h := New(nil, Config{Progress: row.progress, MinBodyRate: row.rate})
				r := httptest.NewRequestWithContext(t.Context(), "PATCH", "/", http.NoBody)
				r.Body = server
				body := h.newPacedBody(overPipe{httptest.NewRecorder(), server}, r)
				began := time.Now()
				var err error
				buf := make([]byte, 4<<10)
				for err == nil && time.Since(began) < 10*time.Minute {
					_, err = body.Read(buf)
					time.Sleep(row.store)
				}
				took := time.Since(began) - row.store
				close(end)
				_ = server.Close()
				sending.Wait()
				if row.cutAfter == 0 {
					if err != nil {
						t.Errorf("cut after %v: %v", took, err)
					}
					return
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) || took < row.cutAfter-4*time.Second || took > row.cutAfter+4*time.Second {
					t.Errorf("after %v: %v, want a cut after %v", took, err, row.cutAfter)
				}
				status, errs := bodyAnswer(&registry.BodyError{Err: err})
				if status != http.StatusRequestTimeout || !strings.Contains(errs[0].Message, row.says) {
					t.Errorf("%d %v", status, errs)
				}
			})
		})
	}
}

// single is a listener of one connection.
type single struct {
	net.Listener
	conns chan net.Conn
}

func (o single) Accept() (net.Conn, error) {
	c, ok := <-o.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (o single) Close() error   { return nil }
func (o single) Addr() net.Addr { return &net.TCPAddr{} }

// A59: a client that does not read the shortest answer does not hold the server either.
func TestShortAnswerThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		closed := make(chan struct{})
		srv := &http.Server{Handler: New(nil, Config{Progress: time.Minute}), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				close(closed)
			}
		}}
		listener := single{conns: make(chan net.Conn, 1)}
		listener.conns <- server
		var serving sync.WaitGroup
		serving.Go(func() { _ = srv.Serve(listener) })
		began := time.Now()
		if _, err := io.WriteString(client, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-closed
		if took := time.Since(began); took < 59*time.Second || took > 61*time.Second {
			t.Errorf("it was given up after %v", took)
		}
		close(listener.conns)
		_ = srv.Close()
		serving.Wait()
	})
}
