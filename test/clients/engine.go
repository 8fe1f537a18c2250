package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"holdfast/test/cluster"
)

// Docker starts a docker engine that trusts the registry at host, and returns its client. Where certs is not empty
// the engine, and nobody else, sees that folder in place of /etc/docker/certs.d, and trusts registries as it does by itself:
// those on loopback addresses.
func Docker(t *testing.T, host, certs string) *Program {
	t.Helper()
	dir := Short(t)
	socket := "unix://" + dir + "/docker.sock"
	insecure := []string{host}
	if certs != "" {
		insecure = nil // to those that it takes for insecure the engine shows no certificate
	}
	config, err := json.Marshal(map[string]any{
		"insecure-registries": insecure, "storage-driver": "vfs", "bridge": "none", "iptables": false, "ip-masq": false,
		"data-root": dir + "/data", "exec-root": dir + "/exec", "pidfile": dir + "/docker.pid", "hosts": []string{socket},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/daemon.json", config, 0o600); err != nil {
		t.Fatal(err)
	}
	program := Find(t, "docker", "DOCKER_HOST="+socket, "DOCKER_BUILDKIT=0")
	command := []string{"dockerd", "--config-file", dir + "/daemon.json"}
	if certs != "" {
		const mount = `mkdir -p /etc/docker/certs.d && mount --bind "$0" /etc/docker/certs.d && exec "$@"`
		command = slices.Concat([]string{"unshare", "--mount", "sh", "-c", mount, certs}, command)
	}
	Daemon(t, command[0], func() error {
		_, err := program.Try(t, "version")
		return err
	}, command[1:]...)
	return program
}

// Containerd starts containerd, and returns its client.
func Containerd(t *testing.T) *Program {
	t.Helper()
	dir := Short(t)
	if err := os.WriteFile(dir+"/config.toml", fmt.Appendf(nil, "version = 2\nroot = %q\nstate = %q\n[grpc]\n  address = %q\n[ttrpc]\n  address = %q\n[debug]\n  address = %q\n",
		dir+"/root", dir+"/state", dir+"/c.sock", dir+"/t.sock", dir+"/d.sock"), 0o600); err != nil {
		t.Fatal(err)
	}
	program := Find(t, "ctr").With("--address", dir+"/c.sock")
	Daemon(t, "containerd", func() error {
		_, err := program.Try(t, "version")
		return err
	}, "--config", dir+"/config.toml")
	return program
}

// Daemon runs a program until the test ends and waits until ready is content.
func Daemon(t *testing.T, name string, ready func() error, args ...string) {
	t.Helper()
	path, err := cluster.Tool(name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(20 * time.Second):
		}
		// What it started may outlive it; its group is all ours.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		if text, err := os.ReadFile(out.Name()); err == nil && t.Failed() {
			t.Logf("%s wrote:\n%s", name, text[max(0, len(text)-3000):])
		}
	})
	for deadline := time.Now().Add(time.Minute); ; {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-done:
			t.Fatalf("%s has ended at its start: %v", name, err)
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready: %v", name, err)
		}
	}
}

// Short returns a folder with a short path: the path of a socket has at most 107 bytes.
func Short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hf-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Log(err)
		}
	})
	return dir
}
