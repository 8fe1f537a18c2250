//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// manager is what systemd is to a service: the socket that it is told at.
type manager struct {
	path string
	mu   sync.Mutex
	told []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{path: filepath.Join(t.TempDir(), "notify")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, string(b[:n]))
			m.mu.Unlock()
		}
	}()
	return m
}

// until waits until the service has told all texts in this order.
func (m *manager) until(t *testing.T, texts ...string) {
	t.Helper()
	eventually(t, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		found := 0
		for _, one := range m.told {
			for found < len(texts) && strings.Contains(one, texts[found]) {
				found++
			}
		}
		return found == len(texts)
	}, func() string {
		m.mu.Lock()
		defer m.mu.Unlock()
		return fmt.Sprintf("it told %q, not %q", m.told, texts)
	})
}

// forget forgets what was told.
func (m *manager) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = nil
}

func eventually(t *testing.T, is func() bool, why func() string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(why())
		}
	}
}

func fetched(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestLifecycle is the life of a service: it starts, is watched, takes new configurations, and ends.
func TestLifecycle(t *testing.T) {
	m := newManager(t)
	dir := t.TempDir()
	file := configFile(t, "127.0.0.1:0", dir, "")
	rewrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	valid := func(level, port string) string {
		return fmt.Sprintf(`{"storage":{"rootDirectory":%q},"http":{"address":"127.0.0.1","port":%q,"drainDelay":"1ms"},"log":{"level":%q}}`, dir, port, level)
	}
	cmd := command(t, self(t), "serve", file)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=400000")
	server := start(t, cmd)
	base := "http://" + server.address
	config := func() string { return fetched(t, base+"/readyz?verbose") }
	says := func(texts ...string) {
		t.Helper()
		eventually(t, func() bool {
			got := config()
			for _, text := range texts {
				if !strings.Contains(got, text) {
					return false
				}
			}
			return true
		}, func() string { return fmt.Sprintf("it says %s, not %q", config(), texts) })
	}
	m.until(t, "READY=1\nSTATUS=ready", "WATCHDOG=1", "WATCHDOG=1")
	says("as at the start")

	rewrite(valid("debug", "0"))
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	m.until(t, "RELOADING=1\nMONOTONIC_USEC=", "READY=1\nSTATUS=ready; configuration read again")
	says("read again at")

	m.forget()
	rewrite(`{"storage":`) // no signal: it looks by itself
	m.until(t, "RELOADING=1", "READY=1\nSTATUS=ready; configuration as before; a new one was refused")
	says("refused")

	rewrite(valid("debug", "1"))
	says("read again at", "needs a restart: http.address, http.port")

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.until(t, "STOPPING=1\nEXTEND_TIMEOUT_USEC=")
	select {
	case <-server.ended:
		if server.err != nil {
			t.Errorf("it ended with %v", server.err)
		}
	case <-time.After(4 * time.Second):
		t.Error("it drains as it did at its start, not for the 1 ms that the new file says")
	}
}

// Signs of life are given for the process that systemd watches, not for a child of it.
// TestChangeAtTheStart: a file that changes after it was loaded and before it is watched is loaded again.
func TestChangeAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		changed := make(chan string)
		go watch(ctx, nil, changed, [32]byte{1}, func() [32]byte { return [32]byte{2} })
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatal("nobody noticed")
		}
		select {
		case why := <-changed:
			t.Errorf("it is loaded once more: %s", why)
		case <-time.After(time.Minute):
		}
	})
}

func TestWatchdogOfAnotherProcess(t *testing.T) {
	m := newManager(t)
	cmd := command(t, self(t), "serve", configFile(t, "127.0.0.1:0", t.TempDir(), ""))
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=200000", "WATCHDOG_PID=1")
	start(t, cmd)
	m.until(t, "READY=1")
	time.Sleep(500 * time.Millisecond) // what does not come cannot be waited for
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.Contains(strings.Join(m.told, " "), "WATCHDOG") {
		t.Error("it gives signs of life for another process")
	}
}

func TestSocketActivation(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	at := listener.Addr().String()
	if err := listener.Close(); err != nil { // the copy goes on listening, as systemd does
		t.Fatal(err)
	}
	// $$ is the process that exec makes holdfast of.
	cmd := command(t, "sh", "-c", `LISTEN_PID=$$ exec "$0" serve "$1"`, self(t), configFile(t, "127.0.0.1:1", t.TempDir(), ""))
	cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=registry")
	cmd.ExtraFiles = []*os.File{file}
	server := start(t, cmd)
	if server.address != at || status(t, "http://"+at+"/readyz") != http.StatusOK {
		t.Errorf("it serves %s, not the socket %s", server.address, at)
	}
	two := command(t, "sh", "-c", `LISTEN_PID=$$ exec "$0" serve "$1"`, self(t), configFile(t, "127.0.0.1:1", t.TempDir(), ""))
	two.Env = append(two.Env, "LISTEN_FDS=2", "LISTEN_FDNAMES=one:two")
	two.ExtraFiles = []*os.File{file, file}
	if out, _ := two.CombinedOutput(); two.ProcessState.ExitCode() != exitConfig || !bytes.Contains(out, []byte("FileDescriptorName=registry")) {
		t.Errorf("two sockets and none is ours: %d, %s", two.ProcessState.ExitCode(), out)
	}
}

func TestDumpOfGoroutines(t *testing.T) {
	cmd := command(t, self(t), "serve", configFile(t, "127.0.0.1:0", t.TempDir(), ""))
	var errs lockedBuffer
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var line struct{ Msg, Address string }
	for lines := json.NewDecoder(out); line.Msg != "listening"; {
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return strings.Contains(errs.String(), "server.(*Server).serve(") }, errs.String)
	if status(t, "http://"+line.Address+"/livez") != http.StatusOK {
		t.Error("it does not go on after the dump")
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
