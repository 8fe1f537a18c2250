package systemd

import (
	"net"
	"os"
	"syscall"
	"testing"
)

// handOver puts copies of files on descriptors in a row, as systemd does, and returns the first.
func handOver(t *testing.T, files ...*os.File) uintptr {
	t.Helper()
	const first = 200
	for i, f := range files {
		if err := syscall.Dup3(int(f.Fd()), first+i, 0); err != nil {
			t.Fatal(err)
		}
	}
	return first
}

func socketFile(t *testing.T) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, l.Addr().String()
}

func TestListeners(t *testing.T) {
	one, at := socketFile(t)
	two, _ := socketFile(t)
	first := handOver(t, one, two)
	got, err := listeners(env("LISTEN_FDS=2", "LISTEN_PID=7", "LISTEN_FDNAMES=registry:admin"), 7, first)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "registry" || got[1].Name != "admin" || got[0].Addr().String() != at {
		t.Fatalf("got %v", got)
	}
	if flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, first, syscall.F_GETFD, 0); errno != syscall.EBADF {
		t.Errorf("the original descriptor is still open: flags %x, %v", flags, errno)
	}
	accepted := make(chan error, 1)
	go func() {
		conn, err := got[0].Accept()
		if err == nil {
			err = conn.Close()
		}
		accepted <- err
	}()
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	for _, l := range got {
		_ = l.Close()
	}
}

func TestListenersOfNobody(t *testing.T) {
	for _, e := range [][]string{nil, {"LISTEN_FDS=1"}, {"LISTEN_FDS=1", "LISTEN_PID=8"}, {"LISTEN_PID=7"}, {"LISTEN_FDS=0", "LISTEN_PID=7"}} {
		if got, err := Listeners(env(e...), 7); err != nil || len(got) > 0 {
			t.Errorf("%v: %v, %v", e, got, err)
		}
	}
	if _, err := Listeners(env("LISTEN_FDS=many", "LISTEN_PID=7"), 7); err == nil {
		t.Error("a count that is none is taken")
	}
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	socket, _ := socketFile(t)
	if got, err := listeners(env("LISTEN_FDS=2", "LISTEN_PID=7"), 7, handOver(t, socket, file)); err == nil {
		t.Errorf("a file is listened on: %v", got)
	}
}
