package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// socketName is the server's own socket, in the directory that only one process may use. Commands that
// would need the directory ask the server that has it.
const socketName = "holdfast.sock"

// Status is what a running server says of itself over its socket.
type Status struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	Address string `json:"address"`
	Ready   string `json:"ready"` // as /readyz
}

func socketPath(dir string) string { return filepath.Join(dir, ownDir, socketName) }

// listenAdmin opens the sockets of the directories that this process holds, readable by its user only. What a dead process left is
// replaced: the directory's lock says that nobody uses it. Work that was asked for over them ends when working does.
func (s *Server) listenAdmin(ctx, working context.Context, address string) (stop func()) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_, text := s.health.state()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(Status{Version: s.cfg.Version, PID: os.Getpid(), Address: address, Ready: text}) // a command that is gone needs no answer
	})
	mux.HandleFunc("GET /cluster", s.serveView)
	mux.HandleFunc("POST /operate", s.serveOperate)
	mux.HandleFunc("POST /move", s.serveMove)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: readHeaderTimeout, BaseContext: func(net.Listener) context.Context { return working }}
	for _, dir := range s.cfg.dirs() {
		listener, err := listenSocket(ctx, dir)
		if err != nil {
			s.log.WarnContext(ctx, "no socket for commands in the directory: they will say that it is in use", "dir", dir, "err", err)
			continue
		}
		go func() { _ = srv.Serve(listener) }() // ends by Shutdown or Close
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close()
		}
	}
}

func listenSocket(ctx context.Context, dir string) (net.Listener, error) {
	path := socketPath(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("server: remove an old socket: %w", err)
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("server: listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("server: protect %s: %w", path, err), listener.Close())
	}
	return listener, nil
}

// AskRunning asks the server that uses a directory for its status. Errors: fs.ErrNotExist or a refused
// connection when none does.
func AskRunning(ctx context.Context, dir string) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, err := ask(ctx, dir, http.MethodGet, "status", nil)
	if err != nil {
		return Status{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	var status Status
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		return Status{}, fmt.Errorf("server: ask the server of %s: %w", dir, err)
	}
	return status, nil
}

// ask sends a request to the server that uses a directory. The caller closes the body.
func ask(ctx context.Context, dir, method, what string, body io.Reader) (*http.Response, error) {
	var dialer net.Dialer
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socketPath(dir))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://holdfast/"+what, body)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("server: ask the server of %s: %w", dir, err)
	}
	return resp, nil
}
