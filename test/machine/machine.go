//go:build linux

package machine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// Inside reports whether the test runs in namespaces of its own, for network, mounts and processes. When it does not, it is started again in such, and
// what it says and how it ends is this test's. Whatever the test leaves there ends with it, also when it is killed.
func Inside(t *testing.T) bool {
	t.Helper()
	const inside = "HOLDFAST_TEST_MACHINE"
	if os.Getenv(inside) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: it makes machines of its own")
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc", "--propagation=private", "sh", "-c",
		`ip link set lo up && exec "$@"`, "sh", os.Args[0], "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		t.Errorf("in namespaces of its own: %v", err)
	}
	return false
}

// Root mounts a copy of this machine's files below dir, which ends with the namespace, and returns it.
func Root(t *testing.T, dir string) string {
	t.Helper()
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"))
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"changes", "work", "root"} {
		must(t, os.Mkdir(at(name), 0o755))
	}
	options := fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", at("changes"), at("work"))
	must(t, syscall.Mount("overlay", at("root"), "overlay", 0, options))
	for _, busy := range []string{"run", "tmp"} { // of the processes that run outside
		must(t, syscall.Mount("tmpfs", filepath.Join(at("root"), busy), "tmpfs", 0, "mode=1777"))
	}
	t.Cleanup(func() { // the test's own folders could not be removed before
		for _, path := range []string{at("root/run"), at("root/tmp"), at("root"), dir} {
			_ = syscall.Unmount(path, syscall.MNT_DETACH)
		}
	})
	return at("root")
}

// Chroot runs a shell's commands in a copy, without a systemd. One that fails ends the test.
func Chroot(t *testing.T, root, script string) string {
	t.Helper()
	return Run(t, time.Minute, "chroot", root, "/bin/sh", "-euc", script)
}

// Run runs a command and returns what it printed. One that fails, or takes longer than most, ends the test.
func Run(t *testing.T, most time.Duration, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out.String())
	}
	return out.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
