package abuse

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// wireRows are requests whose end, or host, two servers could see at different places.
func wireRows() []row {
	start := "POST /v2/acme/app/x/blobs/uploads/ HTTP/1.1\nHost: registry\nConnection: close\n"
	hidden := "GET /livez HTTP/1.1\nHost: registry\nConnection: close\n\n"
	// one looks that a hidden request has no answer: /livez is the only one that would be 200.
	one := func(a *attack, raw string) {
		a.Helper()
		all := a.answers(raw)
		if len(all) > 1 {
			a.Errorf("%d answers to one request", len(all))
		}
		for _, ans := range all {
			if ans.Status == 200 {
				a.Errorf("the hidden request is answered: %s", clip(string(ans.Body)))
			}
		}
	}
	return []row{
		{number: "A61", name: "Content-Length beside Transfer-Encoding", run: func(a *attack) {
			auth := basic("alice", a.password("alice")) + "\n"
			u := a.upload(a.repo)
			post := "POST /v2/" + a.repo + "/blobs/uploads/ HTTP/1.1\nHost: registry\n" + auth
			one(a, post+"Content-Length: 4\nTransfer-Encoding: chunked\n\n0\n\n"+hidden)
			one(a, post+"Transfer-Encoding: chunked\nContent-Length: 5\n\n0\n\n"+hidden)
			one(a, "PATCH "+u+" HTTP/1.1\nHost: registry\n"+auth+"Content-Length: 4\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"+hidden)
			one(a, "POST /livez HTTP/1.1\nHost: registry\nContent-Length: 4\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"+hidden)
			one(a, "POST /v2/ HTTP/1.1\nHost: registry\nContent-Length: 4\nTransfer-Encoding: chunked\n\n0\n\n"+hidden) // refused without credentials
		}},
		{number: "A62", name: "lengths, hosts and headers that are none", run: func(a *attack) {
			for _, raw := range []string{
				start + "Content-Length: 4\nContent-Length: 5\n\nabcde", start + "Content-Length: +5\n\nabcde", start + "Content-Length: \n\n", start + "Content-Length: -1\n\n",
				start + "Content-Length : 0\n\n", "GET /v2/ HTTP/1.1\nHost: a\nHost: evil.example\nConnection: close\n\n", "GET /v2/ HTTP/1.1\nHost: a\n: x\nConnection: close\n\n",
				"GET /v2/ HTTP/1.1\nHost: a\nX: a\x00b\nConnection: close\n\n", "GET /v2/a b/tags/list HTTP/1.1\nHost: a\nConnection: close\n\n",
			} {
				a.raw(raw).is(400)
			}
		}},
		{number: "A63", name: "Transfer-Encodings that are none", run: func(a *attack) {
			for _, coding := range []string{"xchunked", "chunked, x", "chunked, chunked", "identity, chunked"} {
				a.raw(start + "Transfer-Encoding: " + coding + "\n\n0\n\n").oneOf([]int{400, 422, 501}) // 422 is HAProxy's
			}
			one(a, "POST /v2/acme/app/x/blobs/uploads/ HTTP/1.0\nHost: registry\nConnection: keep-alive\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"+hidden)
		}},
		{number: "A71", name: "thousands that wait for leave to send a body", run: func(a *attack) {
			n := 64
			if a.full {
				n = 500
			}
			var all sync.WaitGroup
			gate := make(chan struct{}, 500)
			for range n {
				all.Go(func() {
					gate <- struct{}{}
					defer func() { <-gate }()
					ans, err := a.try(a.text("", "PUT /v2/"+a.repo+"/manifests/x", "", "Expect: 100-continue", "Content-Length: 1000", "Content-Type: "+imageType))
					if err != nil {
						a.Error(err)
						return
					}
					a.contract(ans)
					ans.is(401, "UNAUTHORIZED")
				})
			}
			all.Wait()
			a.ask("", "GET /livez").is(200)
		}},
		{number: "A71", name: "HTTP/2 where there is none, and CONNECT", run: func(a *attack) {
			a.ask("alice", "GET /v2/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__").oneOf([]int{200, 400}).has("!Upgrade")
			a.raw("CONNECT evil.example:80 HTTP/1.1\nHost: evil.example:80\nConnection: close\n\n").oneOf([]int{400, 401, 404, 405})
		}},
	}
}

// honest asks again and again for a span and returns how long 99 of a hundred took at most.
func (a *attack) honest(span time.Duration) time.Duration {
	a.Helper()
	var took []time.Duration
	k := a.keep()
	for began := time.Now(); time.Since(began) < span; {
		ans, one, err := k.do("alice", "GET /v2/")
		if err != nil {
			a.Fatal(err)
		}
		ans.is(200)
		took = append(took, one)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// slowRows are clients that are slow on purpose.
func slowRows() []row {
	return []row{
		{number: "A57", name: "2000 clients whose header never ends", slow: true, waits: true, at: direct, run: func(a *attack) {
			before := a.honest(2 * time.Second)
			n := a.goroutines(a.front)
			var (
				all   sync.WaitGroup
				mu    sync.Mutex
				worst time.Duration
			)
			began := time.Now()
			for i := range 2000 {
				all.Go(func() {
					time.Sleep(time.Duration(i) * time.Millisecond / 2)
					took, err := a.dripHeader()
					mu.Lock()
					defer mu.Unlock()
					if worst = max(worst, took); err != nil {
						a.Error(err)
					}
				})
			}
			during := a.honest(4 * time.Second)
			all.Wait()
			a.measured("closed after %v at most; an honest client waits %v, meanwhile %v; goroutines %d, then %d; all within %v", worst, before, during, n, a.goroutines(a.front), time.Since(began))
			if worst > 9*time.Second {
				a.Errorf("a connection was open for %v, want 5 s", worst)
			}
			if during > 2*before+250*time.Millisecond {
				a.Errorf("an honest client waited %v, before %v", during, before)
			}
		}},
		{number: "A58", name: "a body of a byte a second", slow: true, waits: true, at: direct, run: func(a *attack) {
			u := a.patch(a.upload(a.repo), "0-4", "hello").is(202).location()
			conn := a.conn()
			if err := errors.Join(conn.SetDeadline(time.Now().Add(2*time.Minute)), writeAll(conn, a.text("alice", "PATCH "+u, "", "Content-Length: 1000000", "Connection: keep-alive"))); err != nil {
				a.Fatal(err)
			}
			took, open := drip(conn, 80)
			a.measured("cut after %v", took)
			if open {
				a.Errorf("a body of a byte a second is read after %v", took)
			}
			status := a.ask("alice", "GET "+u).is(204).has("Range: ~^0-[0-9]+$")
			_, end, _ := strings.Cut(status.Header.Get("Range"), "-")
			at, err := strconv.Atoi(end)
			if err != nil {
				a.Fatal(err)
			}
			a.patch(status.location(), fmt.Sprintf("%d-%d", at+1, at+4), "more").is(202)
		}},
		{number: "A59", name: "200 readers of a hundred bytes a second", slow: true, waits: true, at: direct, run: func(a *attack) {
			const readers, size = 200, 64 << 20
			d := a.blob(a.repo, a.noise(size))
			before := a.usage()
			var (
				all  sync.WaitGroup
				mu   sync.Mutex
				open int
			)
			began := time.Now()
			for range readers {
				all.Go(func() {
					ended, err := a.sip("/v2/"+a.repo+"/blobs/"+d, size, 72*time.Second)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						a.Error(err)
					}
					if !ended {
						open++
					}
				})
			}
			var most int64
			for range 40 {
				time.Sleep(500 * time.Millisecond)
				most = max(most, a.usage()-before)
			}
			all.Wait()
			a.measured("%d readers: the replicas grew by %d MiB, %d KiB each; after %v %d are still served", readers, most>>20, most>>10/readers, time.Since(began), open)
			if most > readers<<20 {
				a.Errorf("the replicas grew by %d MiB for %d readers", most>>20, readers)
			}
			if open > 0 {
				a.Errorf("%d of %d are still served", open, readers)
			}
		}},
	}
}

func writeAll(w io.Writer, s string) error {
	_, err := io.WriteString(w, s)
	return err
}

// dripHeader sends a byte of a header every two seconds until it is cut, which it tells after how long.
func (a *attack) dripHeader() (time.Duration, error) {
	conn, err := a.dial()
	if err != nil {
		return 0, err
	}
	defer conn.Close() //nolint:errcheck // it is cut
	began := time.Now()
	end := make(chan struct{})
	go func() {
		defer close(end)
		_, _ = io.Copy(io.Discard, conn) // ends when it is cut
	}()
	if err := writeAll(conn, "GET /v2/ HTTP/1.1\r\nHost: registry\r\nX-Slow: "); err != nil {
		return 0, err
	}
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return time.Since(began), nil
		case <-tick.C:
			_ = writeAll(conn, "a") // the end tells
		}
		if took := time.Since(began); took > 30*time.Second {
			return took, errors.New("a header is waited for after 30 s")
		}
	}
}

// drip writes a byte a second until the connection is cut. open says that all n were taken.
func drip(conn io.ReadWriter, n int) (took time.Duration, open bool) {
	began := time.Now()
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		_, _ = bufio.NewReader(conn).ReadByte()
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for range n {
		select {
		case <-cut:
			return time.Since(began), false
		case <-tick.C:
		}
		if writeAll(conn, "x") != nil {
			return time.Since(began), false
		}
	}
	return time.Since(began), true
}

// sip reads a blob at a hundred bytes a second for a span, then the rest. ended says that it was cut.
func (a *attack) sip(target string, size int, span time.Duration) (ended bool, err error) {
	conn, err := a.dial()
	if err != nil {
		return false, err
	}
	defer conn.Close() //nolint:errcheck // it is cut
	if err := errors.Join(conn.SetDeadline(time.Now().Add(span+30*time.Second)), writeAll(conn, a.text("alice", "GET "+target, ""))); err != nil {
		return false, err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	buf := make([]byte, 100)
	got := 0
	for began := time.Now(); time.Since(began) < span; <-tick.C {
		n, err := conn.Read(buf)
		if got += n; err != nil {
			return true, nil
		}
	}
	rest, err := io.Copy(io.Discard, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return got+int(rest) < size, nil
}
