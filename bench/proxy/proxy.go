package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Proxy listens on a port of this machine until Close. Safe for concurrent use.
type Proxy struct {
	URL string // base URL of the store for who is measured

	listener net.Listener
	targets  []string
	next     atomic.Uint64 // target of the next connection
	latency  atomic.Int64  // nanoseconds
	limit    atomic.Int64  // bytes in a second
	counters counters

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once closed
	done  sync.WaitGroup
}

// Start starts a proxy before the servers at the base URLs, which are the doors of one store: its connections go to one after the other.
func Start(ctx context.Context, servers ...string) (*Proxy, error) {
	if len(servers) == 0 {
		return nil, errors.New("proxy: no server to stand before")
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: listen: %w", err)
	}
	p := &Proxy{URL: "http://" + l.Addr().String(), listener: l, conns: map[net.Conn]struct{}{}}
	for _, url := range servers {
		p.targets = append(p.targets, strings.TrimPrefix(url, "http://"))
	}
	p.done.Go(func() { p.accept(ctx) })
	return p, nil
}

// SetLatency has every request that begins from now on wait for d before it goes on to the store.
func (p *Proxy) SetLatency(d time.Duration) { p.latency.Store(int64(d)) }

// SetLimit limits each direction of each connection to so many bytes in a second; 0: no limit.
func (p *Proxy) SetLimit(bytesPerSecond int64) { p.limit.Store(bytesPerSecond) }

// Counts are what has passed since Start.
func (p *Proxy) Counts() Counts { return p.counters.counts() }

// Close ends all connections and waits for them.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.done.Wait()
}

// hold keeps c for Close; false: closed already, and c with it.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: the next may do
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if p.hold(c) {
			p.done.Go(func() { p.serve(ctx, c) })
		}
	}
}

// serve passes the requests of one connection on over one of its own: where one end closes, or says what is not HTTP, both are closed.
func (p *Proxy) serve(ctx context.Context, client net.Conn) {
	defer p.drop(client)
	target := p.targets[p.next.Add(1)%uint64(len(p.targets))]
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", target)
	if err != nil || !p.hold(server) {
		return
	}
	defer p.drop(server)
	// What an answer has for a body depends on its request's method. More than a few requests at once on one connection nobody sends.
	heads := make(chan bool, 64)
	p.done.Go(func() {
		_ = p.answers(&half{p: p, from: server, to: client, bytes: &p.counters.down}, heads)
		_ = client.Close()
		_ = server.Close()
	})
	_ = p.requests(&half{p: p, from: client, to: server, bytes: &p.counters.up}, heads)
	close(heads)
}

func (p *Proxy) requests(h *half, heads chan<- bool) error {
	h.begin()
	for {
		head, err := readHead(h.in, h.buf)
		if err != nil {
			return err
		}
		h.buf = head.raw
		kind := head.kind()
		p.counters.requests[kind].Add(1)
		if wait := time.Duration(p.latency.Load()); wait > 0 {
			time.Sleep(wait)
		}
		select {
		case heads <- kind == Head:
		default:
			return errors.New("proxy: too many requests at once on a connection")
		}
		if err := h.pass(head, head.length); err != nil {
			return err
		}
	}
}

func (p *Proxy) answers(h *half, heads <-chan bool) error {
	h.begin()
	for {
		head, err := readHead(h.in, h.buf)
		if err != nil {
			return err
		}
		h.buf = head.raw
		status := head.status()
		if status/100 == 1 { // 100 Continue: the answer is still to come
			if err := h.pass(head, 0); err != nil {
				return err
			}
			continue
		}
		ofHead, ok := <-heads
		length := head.length
		switch {
		case !ok:
			return errors.New("proxy: an answer without a request")
		case ofHead, status == 204, status == 304:
			length = 0
		case !head.told:
			length = untilClose
		}
		if err := h.pass(head, length); err != nil {
			return err
		}
	}
}

// half is one direction of a connection.
type half struct {
	p        *Proxy
	from, to net.Conn
	in       *bufio.Reader
	buf      []byte
	bytes    *atomic.Int64
	due      time.Time // with a limit: when the next byte may go
}

func (h *half) begin() {
	h.in = bufio.NewReaderSize(h.from, 16<<10)
	h.buf = make([]byte, 0, 2<<10)
}

// pass writes a head and the body behind it.
func (h *half) pass(head head, length int64) error {
	// A short body that is here already goes out with its head.
	if length > 0 && length <= int64(h.in.Buffered()) {
		body, err := h.in.Peek(int(length))
		if err != nil {
			return err
		}
		h.buf = append(head.raw, body...)
		if _, err := h.in.Discard(len(body)); err != nil {
			return err
		}
		h.bytes.Add(length)
		h.pace(length)
		_, err = h.to.Write(h.buf)
		return err
	}
	if _, err := h.to.Write(head.raw); err != nil {
		return err
	}
	switch length {
	case chunked:
		return h.chunks()
	case untilClose:
		n, err := io.Copy(h.to, h.in)
		h.bytes.Add(n)
		return errors.Join(err, io.EOF)
	}
	return h.body(length)
}

// body passes n bytes on: what is buffered, then from socket to socket within the kernel.
func (h *half) body(n int64) error {
	for n > 0 && h.in.Buffered() > 0 {
		part, err := h.in.Peek(int(min(n, int64(h.in.Buffered()))))
		if err != nil {
			return err
		}
		if _, err := h.to.Write(part); err != nil {
			return err
		}
		if _, err := h.in.Discard(len(part)); err != nil {
			return err
		}
		h.bytes.Add(int64(len(part)))
		n -= int64(len(part))
	}
	for n > 0 {
		step := min(n, 4<<20)
		if h.p.limit.Load() > 0 {
			step = min(n, 256<<10)
		}
		h.pace(step)
		done, err := io.CopyN(h.to, h.from, step)
		h.bytes.Add(done)
		if err != nil {
			return err
		}
		n -= done
	}
	return nil
}

// chunks passes a chunked body on, with its trailer.
func (h *half) chunks() error {
	for {
		line, err := h.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(";"))
		n, err := strconv.ParseInt(string(size), 16, 64)
		if err != nil {
			return fmt.Errorf("proxy: parse a chunk: %w", err)
		}
		if _, err := h.to.Write(line); err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if err := h.body(n + 2); err != nil { // with its line end
			return err
		}
	}
	for {
		line, err := h.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if _, err := h.to.Write(line); err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
	}
}

// behind is how much a connection may catch up with what it did not use: a busy machine wakes a sleeper late.
const behind = 50 * time.Millisecond

// pace waits until n more bytes may go.
func (h *half) pace(n int64) {
	limit := h.p.limit.Load()
	if limit <= 0 {
		return
	}
	now := time.Now()
	if earliest := now.Add(-behind); h.due.Before(earliest) {
		h.due = earliest
	}
	h.due = h.due.Add(time.Duration(n * int64(time.Second) / limit))
	time.Sleep(h.due.Sub(now))
}
