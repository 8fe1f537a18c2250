package server

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// Alive is a process that answers at its own listener, whatever kind it is: one that accepts and does not answer is not.
func TestAlive(t *testing.T) {
	for network, address := range map[string]string{"tcp": ":0", "tcp4": "0.0.0.0:0", "unix": filepath.Join(t.TempDir(), "s")} {
		t.Run(network, func(t *testing.T) {
			listener, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = listener.Close() }()
			s := &Server{health: newHealth()}
			ask := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				return s.alive(ctx, listener.Addr())
			}
			if ask() == nil {
				t.Error("nobody answers, and it is alive")
			}
			mux := http.NewServeMux()
			s.health.register(mux)
			srv := &http.Server{Handler: mux}
			defer func() { _ = srv.Close() }()
			go func() { _ = srv.Serve(listener) }()
			if err := ask(); err != nil {
				t.Error(err)
			}
			_ = srv.Close()
			if ask() == nil {
				t.Error("it has ended, and is alive")
			}
			s.health.draining.Store(true)
			if err := ask(); err != nil {
				t.Errorf("while it drains: %v", err)
			}
		})
	}
}
