package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func env(pairs ...string) func(string) (string, bool) {
	all := map[string]string{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		all[name] = value
	}
	return func(name string) (string, bool) { value, set := all[name]; return value, set }
}

// listen opens a datagram socket as systemd does, and returns what reads one datagram of it.
func listen(t *testing.T, address string) (read func() string) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	for _, address := range []string{path, "@holdfast-test-" + filepath.Base(t.TempDir())} {
		read := listen(t, address)
		n, err := FromEnv(env("NOTIFY_SOCKET="+address), 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			states []string
			want   string
		}{
			{[]string{Ready, Status("two\nlines")}, "READY=1\nSTATUS=two lines"},
			{[]string{Reloading(12)}, "RELOADING=1\nMONOTONIC_USEC=12"},
			{[]string{Stopping, Extend(70 * time.Second)}, "STOPPING=1\nEXTEND_TIMEOUT_USEC=70000000"},
		} {
			if err := n.Notify(t.Context(), row.states...); err != nil {
				t.Fatal(err)
			}
			if got := read(); got != row.want {
				t.Errorf("sent %q, want %q", got, row.want)
			}
		}
	}
	gone, err := FromEnv(env("NOTIFY_SOCKET="+path+"-gone"), 7)
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Notify(t.Context(), Ready); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nobody listens, and the error is %v", err)
	}
}

func TestWithoutSystemd(t *testing.T) {
	n, err := FromEnv(env(), 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*Notifier{n, nil} {
		if err := n.Notify(t.Context(), Ready); err != nil || n.Watchdog() != 0 {
			t.Errorf("Notify: %v; Watchdog: %v", err, n.Watchdog())
		}
		n.Watch(t.Context(), func(context.Context) error { t.Error("asked"); return nil }, func(error) {})
	}
}

func TestFromEnv(t *testing.T) {
	for _, row := range []struct {
		name     string
		env      []string
		watchdog time.Duration
		wrong    bool
	}{
		{"a watchdog", []string{"WATCHDOG_USEC=30000000"}, 30 * time.Second, false},
		{"a watchdog of this process", []string{"WATCHDOG_USEC=30000000", "WATCHDOG_PID=7"}, 30 * time.Second, false},
		{"a watchdog of a parent", []string{"WATCHDOG_USEC=30000000", "WATCHDOG_PID=8"}, 0, false},
		{"no number", []string{"WATCHDOG_USEC=soon"}, 0, true},
		{"not positive", []string{"WATCHDOG_USEC=0"}, 0, true},
		{"too large", []string{"WATCHDOG_USEC=9223372036854775807"}, 0, true},
		{"a socket of another kind", []string{"NOTIFY_SOCKET=vsock:2:1234"}, 0, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			n, err := FromEnv(env(row.env...), 7)
			if (err != nil) != row.wrong || err == nil && n.Watchdog() != row.watchdog {
				t.Errorf("%v, %v", n, err)
			}
		})
	}
}

// A process that does not answer sends no sign of life; one that answers again does.
func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	read := listen(t, path)
	n, err := FromEnv(env("NOTIFY_SOCKET="+path, "WATCHDOG_USEC=40000"), 7)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	dead := errors.New("dead")
	var turns, said int
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Watch(ctx, func(context.Context) error {
			if turns++; turns <= 3 {
				return dead
			}
			return nil
		}, func(err error) {
			if errors.Is(err, dead) {
				said++
			}
		})
	}()
	first := read()
	cancel()
	<-ended
	if first != Watchdog || said != 3 || turns < 4 {
		t.Errorf("first datagram %q after %d turns, of which %d failed", first, turns, said)
	}
}
