package redis

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"strings"
	"sync"
	"time"
)

// dialer makes connections, and to an address that refused one not again within a pause: the client asks for
// a new one as often as it is called, and of sentinels without any rest.
type dialer struct {
	cfg Config
	ctx context.Context // ends what the client dials by itself when the cache is closed

	mu    sync.Mutex
	not   map[string]time.Time // before that time, by address
	first int                  // of the sentinels: the one that is asked first
}

const (
	dialPause   = 500 * time.Millisecond
	dialTimeout = 5 * time.Second
)

// dial connects to an address, or, where there are sentinels, to the primary that they name, whatever the address is.
func (d *dialer) dial(ctx context.Context, address string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)() //nolint:contextcheck // the cache is closed
	var conn net.Conn
	var err error
	if d.cfg.Master != "" {
		conn, err = d.primary(ctx)
	} else {
		conn, err = d.paused(ctx, address, func(ctx context.Context) (net.Conn, error) { return d.connect(ctx, address) })
	}
	if err != nil {
		return nil, err
	}
	return &ending{newGuarded(conn), context.AfterFunc(d.ctx, func() { _ = conn.Close() })}, nil //nolint:contextcheck // the connection lasts
}

// paused connects when the pause of an address is over, as long as ctx allows.
func (d *dialer) paused(ctx context.Context, address string, connect func(context.Context) (net.Conn, error)) (net.Conn, error) {
	if err := d.pause(ctx, address); err != nil {
		return nil, err
	}
	conn, err := connect(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		now := time.Now()
		maps.DeleteFunc(d.not, func(_ string, until time.Time) bool { return now.After(until) }) // sentinels may name ever others
		d.not[address] = now.Add(dialPause)
		return nil, err
	}
	delete(d.not, address)
	return conn, nil
}

func (d *dialer) pause(ctx context.Context, address string) error {
	d.mu.Lock()
	rest := time.Until(d.not[address])
	d.mu.Unlock()
	if rest <= 0 {
		return nil
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *dialer) connect(ctx context.Context, address string) (net.Conn, error) {
	var plain net.Dialer
	if strings.HasPrefix(address, "/") {
		return plain.DialContext(ctx, "unix", address)
	}
	config, err := d.cfg.tlsConfig()
	if err != nil {
		return nil, err
	}
	if config == nil {
		return plain.DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{NetDialer: &plain, Config: config}).DialContext(ctx, "tcp", address)
}

// ending is a connection that is closed when the cache is, whoever waits for an answer of it.
type ending struct {
	net.Conn
	stop func() bool
}

// Close closes the connection before the cache does.
func (e *ending) Close() error {
	e.stop()
	return e.Conn.Close()
}
