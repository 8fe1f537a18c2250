package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	goldap "github.com/go-ldap/ldap/v3"
)

// connection is one to the directory. One user at a time.
type connection struct {
	*goldap.Conn
	raw    net.Conn // below TLS
	reused bool     // it served somebody before: that it is broken says nothing of the directory
}

// close ends a connection without waiting for the other side.
func (c *connection) close() {
	_ = c.raw.Close() // what is lost with it nobody reads
	_ = c.Close()
}

// while calls do; when ctx ends first the connection is closed, and do returns with an error.
func (c *connection) while(ctx context.Context, do func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() })
	err := do()
	if !stop() && err == nil {
		err = errors.New("ldap: the time is up")
	}
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// connect opens a connection, with TLS where it is to have it.
func (d *Directory) connect(ctx context.Context) (*connection, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", d.cfg.address())
	if err != nil {
		return nil, err
	}
	if d.cfg.Security == TLS {
		secure := tls.Client(raw, d.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close() // the handshake's error says it all
			return nil, err
		}
		c := &connection{Conn: goldap.NewConn(secure, true), raw: raw}
		c.Start()
		return c, nil
	}
	c := &connection{Conn: goldap.NewConn(raw, false), raw: raw}
	c.Start()
	if d.cfg.Security == Plain {
		return c, nil
	}
	if err := c.while(ctx, func() error { return c.StartTLS(d.tls) }); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// pool keeps connections that nobody uses. Safe for concurrent use.
type pool struct {
	mu     sync.Mutex
	idle   []*connection
	closed bool
}

// take returns a connection that served before, or nil.
func (p *pool) take() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.IsClosing() { // the directory closes what is idle for long
			c.reused = true
			return c
		}
		c.close()
	}
	return nil
}

func (p *pool) put(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || c.IsClosing() {
		c.close()
		return
	}
	p.idle = append(p.idle, c)
}

// close ends all that are idle; those in use end when they are put back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.close()
	}
	p.idle, p.closed = nil, true
}

// use calls do with a connection: one that served before or, where that one turns out to be broken, a new one, so that a directory which was
// restarted is no error. do must be such that it may be done twice. An answer of the directory, also a refusal, keeps the connection.
func (d *Directory) use(ctx context.Context, do func(*connection) error) error {
	for {
		c := d.pool.take()
		if c == nil {
			var err error
			if c, err = d.connect(ctx); err != nil {
				return err
			}
		}
		err := c.while(ctx, func() error { return do(c) })
		switch {
		case err == nil || answered(err) && ctx.Err() == nil:
			d.pool.put(c)
			return err
		case c.reused && ctx.Err() == nil:
			c.close()
			continue // there are fewer each time
		}
		c.close()
		return err
	}
}

// answered reports whether an error is the directory's answer, and not that there was none.
func answered(err error) bool {
	var e *goldap.Error
	return errors.As(err, &e) && e.ResultCode < goldap.ErrorNetwork
}
