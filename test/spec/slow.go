package spec

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// RunSlow plays clients that are slow on purpose against a target without a
// proxy (which would meet them in the registry's place). It takes some 80 s;
// everything in it waits at the same time.
func RunSlow(t *testing.T, target Target) {
	t.Helper()
	for name, f := range map[string]func(*Env){
		"A57: a header that never ends is cut":                              slowHeader,
		"A58: a body of a byte a second is cut, and the upload goes on":     slowBody,
		"A59: a reader of a hundred bytes a second is cut":                  slowReader,
		"A58: a body that keeps its pace is not cut, however long it takes": steadyBody,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(newEnv(t, target))
		})
	}
}

// slowHeader opens many connections that send a byte of a header now and then.
func slowHeader(e *Env) {
	// The server cuts after 5 s. The test asks whether it cuts at all: on a busy machine, under the race
	// detector, five hundred clients are seconds late themselves.
	const clients, limit = 500, 30 * time.Second
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			conn, err := e.connect()
			if err != nil {
				e.Error(err)
				return
			}
			defer conn.Close() //nolint:errcheck // it is cut
			began := time.Now()
			end := make(chan struct{})
			go func() {
				defer close(end)
				_, _ = io.Copy(io.Discard, conn) // returns when the server has cut it
			}()
			_, _ = io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nHost: registry\r\nX-Slow: ")
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-end:
					return
				case <-tick.C:
					_, _ = io.WriteString(conn, "a")
				}
				if took := time.Since(began); took > limit {
					e.Errorf("the connection is open after %v", took)
					return
				}
			}
		})
	}
	worst := e.honest(3*time.Second, Exchange{Do: "GET /v2/", Want: Want{Status: 200}})
	wg.Wait()
	if worst > 10*time.Second {
		e.Errorf("meanwhile an honest client waited %v", worst)
	}
}

// honest sends x again and again and returns the longest time that one took.
func (e *Env) honest(span time.Duration, x Exchange) (worst time.Duration) {
	e.Helper()
	for began := time.Now(); time.Since(began) < span; {
		one := time.Now()
		e.exchange(x)
		worst = max(worst, time.Since(one))
	}
	return worst
}

// drip writes n bytes, one each pause, until the server cuts the connection. It
// returns how long that took; ok says that all were written.
func drip(conn net.Conn, n int, pause time.Duration, piece string) (took time.Duration, ok bool) {
	began := time.Now()
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		_, _ = bufio.NewReader(conn).ReadByte()
	}()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for range n {
		select {
		case <-cut:
			return time.Since(began), false
		case <-tick.C:
		}
		if _, err := io.WriteString(conn, piece); err != nil {
			return time.Since(began), false
		}
	}
	return time.Since(began), true
}

func slowBody(e *Env) {
	upload("u")(e)
	chunk("u", "0-4", "hello")(e)
	_, wire := e.request(Exchange{Do: "PATCH {u}", Header: []string{"Content-Length: 1000000", "Connection: keep-alive"}})
	conn := e.dial()
	defer conn.Close() //nolint:errcheck // it is cut
	if err := errors.Join(conn.SetDeadline(time.Now().Add(2*time.Minute)), write(conn, wire)); err != nil {
		e.Fatal(err)
	}
	if took, ok := drip(conn, 75, time.Second, "x"); ok {
		e.Errorf("a body of a byte a second is still read after %v", took)
	}
	a := e.exchange(Exchange{Do: "GET {u}", Save: "u", Want: Want{Status: 204, Heads: []string{"Range: ~^0-[0-9]+$"}}})
	_, end, _ := strings.Cut(a.Header.Get("Range"), "-")
	at, err := strconv.Atoi(end)
	if err != nil || at < 4 {
		e.Fatalf("after the cut the upload's Range is %q, want at least 0-4", a.Header.Get("Range"))
	}
	e.exchange(Exchange{Do: "PATCH {u}", Body: "more", Header: []string{"Content-Range: " + strconv.Itoa(at+1) + "-" + strconv.Itoa(at+4)}, Want: Want{Status: 202}})
}

// steadyBody sends 4 KiB a second for longer than any limit on progress.
func steadyBody(e *Env) {
	const pieces, size = 70, 4096
	body := strings.Repeat(strings.Repeat("y", size), pieces)
	e.keep("b", body, "")
	upload("u")(e)
	_, wire := e.request(Exchange{Do: "PATCH {u}", Header: []string{"Content-Length: " + strconv.Itoa(len(body)), "Connection: close"}})
	conn := e.dial()
	defer conn.Close() //nolint:errcheck // read
	if err := errors.Join(conn.SetDeadline(time.Now().Add(2*time.Minute)), write(conn, wire)); err != nil {
		e.Fatal(err)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for range pieces {
		<-tick.C
		if err := write(conn, []byte(body[:size])); err != nil {
			e.Fatalf("cut although it kept its pace: %v", err)
		}
	}
	a, err := read(bufio.NewReader(conn), "PATCH")
	if err != nil || a.Status != 202 {
		e.Fatalf("answered by %v, %v, want 202", a, err)
	}
	e.saveLocation("u", a)
	e.exchange(Exchange{Do: "PUT {u?}digest={b}", Want: Want{Status: 201}})
}

func write(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}

// slowReader reads a blob at a hundred bytes a second. The kernels on the way
// hold some megabytes; the blob is larger, so that the server must wait.
func slowReader(e *Env) {
	const size = 64 << 20
	e.keep("b", long(size, e.vars["nonce"]), "")
	upload("u")(e)
	e.exchange(Exchange{Do: "PUT {u?}digest={b}", Body: "{b.bytes}", Header: octets, Want: Want{Status: 201}})
	_, wire := e.request(Exchange{Do: "GET /v2/{repo}/blobs/{b}"})
	conn := e.dial()
	defer conn.Close() //nolint:errcheck // it is cut
	if err := errors.Join(conn.SetDeadline(time.Now().Add(2*time.Minute)), write(conn, wire)); err != nil {
		e.Fatal(err)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	buf := make([]byte, 100)
	got := 0
	for range 75 {
		<-tick.C
		n, err := conn.Read(buf)
		got += n
		if err != nil {
			return // cut, and it shows already
		}
	}
	rest, err := io.Copy(io.Discard, conn)
	if got += int(rest); err == nil && got >= size {
		e.Errorf("after 75 s at 100 bytes a second all %d bytes came", got)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		e.Errorf("after 75 s at 100 bytes a second the connection is still open")
	}
}
