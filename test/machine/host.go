//go:build linux

package machine

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Network makes a bridge in the test's own network namespace, with an address such as 10.80.0.1/24.
func Network(t *testing.T, address string) {
	t.Helper()
	must(t, os.MkdirAll("/run/netns", 0o755))
	must(t, syscall.Mount("tmpfs", "/run/netns", "tmpfs", 0, "mode=0755")) // names of namespaces, here only
	Run(t, time.Minute, "sh", "-euc", `mount --make-shared /run/netns
		ip link add bridge type bridge; ip address add `+address+` dev bridge; ip link set bridge up`)
}

// Attach makes a network namespace with an interface eth0 of an address in the network.
func Attach(t *testing.T, name, address string) {
	t.Helper()
	Run(t, time.Minute, "sh", "-euc", fmt.Sprintf(`ip netns add %[1]s
		ip link add %[1]s-port type veth peer name eth0 netns %[1]s
		ip link set %[1]s-port master bridge; ip link set %[1]s-port up
		ip -n %[1]s address add %[2]s dev eth0; ip -n %[1]s link set eth0 up; ip -n %[1]s link set lo up`, name, address))
}

// Host is a machine with a systemd of its own, over a copy of this machine's files.
type Host struct {
	Name string
	Root string // its files, as seen from here

	cmd   *exec.Cmd
	log   bytes.Buffer  // to be read once ended is closed
	ended chan struct{} // it is off
	pid   int           // of its systemd
}

// Boot starts a machine in a network namespace that Attach made. It has no services but those that a system needs: what
// the test's machine has enabled is not started. It ends with the test's process.
func Boot(t *testing.T, name string) *Host {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	must(t, os.Mkdir(dir, 0o755))
	h := &Host{Name: name, Root: Root(t, dir), ended: make(chan struct{})}
	must(t, os.WriteFile(filepath.Join(h.Root, "etc/hostname"), []byte(name+"\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(h.Root, "etc/machine-id"), nil, 0o644))
	h.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), "systemd-nspawn", "--boot", "--directory="+h.Root, "--register=no", "--keep-unit",
		"--machine="+name, "--network-namespace-path=/run/netns/"+name, "--console=pipe", "--link-journal=no", "--capability=CAP_NET_ADMIN,CAP_NET_RAW", "systemd.unit=basic.target")
	h.cmd.Stdout, h.cmd.Stderr = &h.log, &h.log
	h.cmd.WaitDelay = time.Second // its processes may outlive it for a moment
	must(t, h.cmd.Start())
	go func() {
		_ = h.cmd.Wait() // a machine that is switched off ends as it likes
		close(h.ended)
	}()
	t.Cleanup(func() {
		_ = h.cmd.Process.Kill()
		<-h.ended
	})
	h.until(t, 40*time.Second, func() bool {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", h.cmd.Process.Pid, h.cmd.Process.Pid))
		if err != nil {
			return false
		}
		for _, child := range strings.Fields(string(children)) {
			comm, err := os.ReadFile("/proc/" + child + "/comm")
			if h.pid, _ = strconv.Atoi(child); err == nil && h.pid > 0 && strings.TrimSpace(string(comm)) == "systemd" {
				out, _ := h.Try(t.Context(), "systemctl is-system-running --wait || true") // not before it answers at all
				return strings.HasSuffix(out, "\nrunning\n") || strings.HasSuffix(out, "\ndegraded\n")
			}
		}
		return false
	})
	return h
}

func (h *Host) until(t *testing.T, most time.Duration, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(most); !is(); time.Sleep(50 * time.Millisecond) {
		select {
		case <-h.ended:
			t.Fatalf("%s ended:\n%s", h.Name, h.log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not running after %v", h.Name, most)
		}
	}
}

// Try runs a shell's commands on the machine, in /root, and returns what they print. The first that fails ends them.
func (h *Host) Try(ctx context.Context, script string) (string, error) {
	cmd := exec.CommandContext(ctx, "nsenter", "--target", strconv.Itoa(h.pid), "--all", "--", "/bin/sh", "-exc", "cd /root\n"+script)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("machine: %s: %w\n%s", h.Name, err, out)
	}
	return string(out), err
}

// WaitOff waits until the machine is off.
func (h *Host) WaitOff(t *testing.T, most time.Duration) {
	t.Helper()
	select {
	case <-h.ended:
	case <-time.After(most):
		t.Fatalf("%s is not off after %v", h.Name, most)
	}
}

// Off reports whether the machine is off.
func (h *Host) Off() bool {
	select {
	case <-h.ended:
		return true
	default:
		return false
	}
}

// Has reports whether the machine's eth0 has an address.
func (h *Host) Has(ctx context.Context, address net.IP) bool {
	out, err := h.Try(ctx, "ip -brief address show eth0")
	return err == nil && strings.Contains(out, " "+address.String()+"/")
}
