package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"holdfast/internal/systemd"
)

// Host is what the process gives to the server that it runs. The zero value gives nothing.
type Host struct {
	Listener net.Listener      // is listened on instead of Address, and closed; nil: none
	Notifier *systemd.Notifier // is told how the server is; nil: nobody is
	Source   Source
}

// statusInterval is how often systemd may be told that the server's readiness is another.
const statusInterval = time.Second

// listen opens the listener, or takes the one that was handed over. Errors: ErrRefused.
func (s *Server) listen(ctx context.Context) (net.Listener, error) {
	if s.cfg.Host.Listener != nil {
		return s.cfg.Host.Listener, nil
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", s.cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("%w: listen on %s: %w", ErrRefused, s.cfg.Address, err)
	}
	return listener, nil
}

// supervise tells systemd that the server has started, which it has when it listens: whether it is ready is the store's affair, and a
// store that is out of reach is no reason to end the server over and over. Until working ends it follows the configuration; until end it
// gives signs of life.
func (s *Server) supervise(ctx, working context.Context, address net.Addr) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.notify(ctx, systemd.Ready, s.statusLine())
	var all sync.WaitGroup
	all.Go(func() { s.reloads(working) })
	all.Go(func() { s.watchEdge(working) })
	if s.cfg.Host.Notifier != nil {
		all.Go(func() { s.tellStatus(ctx) })
		all.Go(func() {
			s.cfg.Host.Notifier.Watch(ctx, func(ctx context.Context) error { return s.alive(ctx, address) }, func(err error) {
				s.log.ErrorContext(ctx, "no sign of life was given to systemd", "err", err)
			})
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// notify tells systemd. What goes wrong is logged: the server serves all the same.
func (s *Server) notify(ctx context.Context, states ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if err := s.cfg.Host.Notifier.Notify(ctx, states...); err != nil {
		s.log.WarnContext(ctx, "systemd could not be told", "err", err)
	}
}

// stopping says that the server drains, and for how long at most, so that it is not ended before.
func (s *Server) stopping(ctx context.Context, most time.Duration) {
	s.notify(ctx, systemd.Stopping, systemd.Extend(most+2*endTime), s.statusLine())
}

func (s *Server) reloadBegins(ctx context.Context) {
	s.notify(ctx, systemd.Reloading(systemd.Monotonic()))
}

func (s *Server) reloadEnds(ctx context.Context) { s.notify(ctx, systemd.Ready, s.statusLine()) }

// statusLine is what systemctl status shows.
func (s *Server) statusLine() string {
	_, text := s.health.state()
	return systemd.Status(text + "; configuration " + s.health.configuration())
}

// tellStatus tells systemd when the server's readiness is another, until ctx ends.
func (s *Server) tellStatus(ctx context.Context) {
	ticker := time.NewTicker(statusInterval)
	defer ticker.Stop()
	for told := ""; ; {
		if line := s.statusLine(); line != told {
			s.notify(ctx, line)
			told = line
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// alive asks the server's own listener: a process that answers there is alive. One that drains listens no more; how long that takes is bounded by itself.
func (s *Server) alive(ctx context.Context, address net.Addr) error {
	if s.health.draining.Load() {
		return nil
	}
	var dialer net.Dialer
	scheme, config := s.asSelf()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   config,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var errs []error
			for _, at := range dialable(address) {
				conn, err := dialer.DialContext(ctx, address.Network(), at)
				if err == nil {
					return conn, nil
				}
				errs = append(errs, err)
			}
			return nil, errors.Join(errs...)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://holdfast/livez", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("server: ask oneself: %w", err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("server: ask oneself: %s", resp.Status)
	}
	return err
}

// dialable is where a listener is reached from here: the first that answers.
func dialable(address net.Addr) []string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return []string{address.String()}
	}
	port := strconv.Itoa(tcp.Port)
	return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)} // one that is for IPv6 is mostly for both
}
