package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Relay carries connections to a server, and may be slow. Safe for concurrent use.
type Relay struct {
	Address string // host:port
	to      string
	delay   atomic.Int64
	ctx     context.Context
	end     context.CancelFunc
	listen  net.Listener
	work    sync.WaitGroup
}

// NewRelay returns a relay to a server, without any delay. Close ends it.
func NewRelay(ctx context.Context, to string) (*Relay, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cache: listen: %w", err)
	}
	r := &Relay{Address: l.Addr().String(), to: to, listen: l}
	r.ctx, r.end = context.WithCancel(context.WithoutCancel(ctx))
	r.work.Go(r.accept)
	return r, nil
}

// Delay has each piece of an answer come later by d.
func (r *Relay) Delay(d time.Duration) { r.delay.Store(int64(d)) }

func (r *Relay) accept() {
	for {
		client, err := r.listen.Accept()
		if err != nil {
			return // closed
		}
		r.work.Go(func() { r.carry(client) })
	}
}

func (r *Relay) carry(client net.Conn) {
	defer client.Close() //nolint:errcheck // either side may have gone
	var d net.Dialer
	server, err := d.DialContext(r.ctx, "tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // as above
	stop := context.AfterFunc(r.ctx, func() { _ = errors.Join(client.Close(), server.Close()) })
	defer stop()
	r.work.Go(func() {
		_, _ = io.Copy(server, client) // as above
		_ = server.Close()
	})
	piece := make([]byte, 64<<10)
	for {
		n, err := server.Read(piece)
		if n > 0 {
			r.sleep()
			if _, err := client.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (r *Relay) sleep() {
	if d := time.Duration(r.delay.Load()); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.ctx.Done():
		}
	}
}

// Close ends all connections.
func (r *Relay) Close() error {
	r.end()
	err := r.listen.Close()
	r.work.Wait()
	return err
}
