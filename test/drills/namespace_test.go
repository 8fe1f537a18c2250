package drills

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// inNamespace reports whether the test runs in network and mount namespaces of its own, where it may filter
// packets and mount. When it does not, it is started again in such, and what it says and how it ends is this
// test's.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const inside = "HOLDFAST_DRILLS_INSIDE"
	if os.Getenv(inside) != "" {
		return true
	}
	if s := sizeOf(t); !s.full {
		t.Parallel()
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `mount --make-rprivate / && ip link set lo up && exec "$@"`,
		"sh", os.Args[0], "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	runtime.LockOSThread() // the child ends with the thread that it came from
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		t.Errorf("in a namespace of its own (this needs root, or user namespaces; ip, mount and iptables): %v", err)
	}
	return false
}

// mountSmall mounts a disk of some bytes at dir until the test ends.
func mountSmall(t *testing.T, dir string, bytes int) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+strconv.Itoa(bytes)); err != nil {
		t.Fatal("mount a small disk:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// packets adds rules of iptables, and returns what removes them.
func (r *run) packets(rules ...[]string) (remove func()) {
	r.Helper()
	do := func(action string) {
		for _, rule := range rules {
			out, err := exec.CommandContext(r.Context(), "iptables", append([]string{"-w", action, "INPUT", "-p", "tcp"}, rule...)...).CombinedOutput()
			if err != nil {
				r.Fatalf("iptables %s INPUT %v: %v: %s", action, rule, err, out)
			}
		}
	}
	do("-A")
	return func() { do("-D") }
}
