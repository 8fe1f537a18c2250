//go:build linux

package tutorial

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/test/cluster"
	"holdfast/test/drills/check"
	"holdfast/test/drills/load"
	"holdfast/test/machine"
)

// What the page says of the network.
const (
	network = "10.80.0."
	virtual = network + "10"
	store   = network + "20"
)

// walk is what one walk through the page has.
type walk struct {
	*testing.T
	hosts map[string]*machine.Host // by number
	dir   string                   // the client's
}

func TestTutorial(t *testing.T) {
	if !machine.Inside(t) {
		return
	}
	text, err := os.ReadFile("../../docs/tutorial-bare-metal.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	w := &walk{T: t, hosts: map[string]*machine.Host{}, dir: t.TempDir()}
	began := time.Now()
	machine.Network(t, network+"1/24")
	w.startStore()
	w.Cleanup(w.tell)
	w.boot()
	t.Logf("%5.1f s  the hosts are up", time.Since(began).Seconds())
	w.copy(map[string]string{"holdfast.deb": w.build("v0.0.1"), "holdfast-new.deb": w.build("v0.0.2")})
	t.Logf("%5.1f s  two packages are built", time.Since(began).Seconds())
	section := ""
	for _, b := range blocks {
		if b.section != section {
			section = b.section
			t.Logf("%5.1f s  %s", time.Since(began).Seconds(), section)
		}
		if b.load {
			w.underLoad(b)
			continue
		}
		w.do(b)
	}
	for n, h := range w.hosts {
		if h.Off() {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if out, err := h.Try(ctx, "holdfast version; systemctl show -p NRestarts --value holdfast@1"); err != nil || !strings.Contains(out, "holdfast v0.0.2\n") || !strings.HasSuffix(out, "\n0\n") {
			t.Errorf("host %s at the end: %v, %s", n, err, out)
		}
	}
	t.Logf("%5.1f s  the end", time.Since(began).Seconds())
}

// startStore runs an S3 server with the bucket of the page, on a machine of its own.
func (w *walk) startStore() {
	w.Helper()
	machine.Attach(w.T, "store", store+"/24")
	gateway, err := cluster.Tool("versitygw")
	if err != nil {
		w.Fatal(err)
	}
	root := w.TempDir()
	if err := os.Mkdir(filepath.Join(root, "registry"), 0o755); err != nil {
		w.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(w.Context()), "nsenter", "--net=/run/netns/store", gateway, "-q", "-a", "test", "-s", "testtest", "-r", "us-east-1", "-p", store+":7070",
		"--keep-alive", "--health", "/health", "posix", root)
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGKILL); _ = cmd.Wait() })
}

// tell shows what the hosts have to say, when the test has failed.
func (w *walk) tell() {
	if !w.Failed() {
		return
	}
	for n, h := range w.hosts {
		if h.Off() {
			continue
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.Context()), 10*time.Second)
		out, err := h.Try(ctx, "ip -brief address; systemctl --failed --no-pager; journalctl --no-pager -n 40 -u haproxy -u keepalived -u 'holdfast@*'")
		cancel()
		w.Logf("host %s: %v\n%s", n, err, out)
	}
}

// build makes the package of a version.
func (w *walk) build(version string) string {
	w.Helper()
	dir := filepath.Join(w.TempDir(), version)
	machine.Run(w.T, 5*time.Minute, "env", "HOLDFAST_PACKAGES=deb", "HOLDFAST_VERSION="+version, "../../scripts/packages.sh", dir, runtime.GOARCH)
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(found) != 1 {
		w.Fatalf("packages of %s: %v, %v", version, found, err)
	}
	return found[0]
}

// boot starts the three hosts.
func (w *walk) boot() {
	w.Helper()
	for n := 1; n <= 3; n++ {
		name := fmt.Sprintf("host%d", n)
		machine.Attach(w.T, name, fmt.Sprintf("%s%d/24", network, 10+n))
		w.hosts[fmt.Sprint(n)] = machine.Boot(w.T, name)
	}
}

// copy puts files into the home of root on each host.
func (w *walk) copy(files map[string]string) {
	w.Helper()
	for _, h := range w.hosts {
		for name, from := range files {
			content, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(filepath.Join(h.Root, "root", name), content, 0o600)
			}
			if err != nil {
				w.Fatal(err)
			}
		}
	}
}

// do carries out a block, on all its hosts at once. The test fails when one of them does.
func (w *walk) do(b block) {
	w.Helper()
	if b.oneByOne {
		for _, host := range b.hosts {
			if err := w.on(b, host); err != nil {
				w.Fatalf("line %d: %v", b.line, err)
			}
		}
		return
	}
	var all sync.WaitGroup
	errs := make([]error, len(b.hosts))
	for i, host := range b.hosts {
		all.Go(func() { errs[i] = w.on(b, host) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			w.Fatalf("line %d: %v", b.line, err)
		}
	}
}

// on carries out a block on one host. A host that the commands switch off is waited for.
func (w *walk) on(b block, host string) error {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Minute)
	defer cancel()
	if host == "client" {
		return w.client(b)
	}
	h := w.hosts[host]
	if host == "holder" {
		h = w.holder()
	}
	if h == nil {
		return fmt.Errorf("the page has no host %q", host)
	}
	if b.file != "" {
		return os.WriteFile(filepath.Join(h.Root, b.file), []byte(b.text), 0o644)
	}
	_, err := h.Try(ctx, b.text)
	if strings.Contains(b.text, "systemctl poweroff") {
		h.WaitOff(w.T, time.Minute)
		return nil // the connection to it ended, too
	}
	return err
}

// holder is the host that has the virtual address.
func (w *walk) holder() *machine.Host {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		for _, h := range w.hosts {
			if !h.Off() && h.Has(w.Context(), net.ParseIP(virtual)) {
				return h
			}
		}
	}
	w.Fatal("nobody has the virtual address")
	return nil
}

// client carries out a block where the clients are.
func (w *walk) client(b block) error {
	w.Helper()
	crane, err := cluster.Tool("crane")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-exc", b.text)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(crane)+":"+os.Getenv("PATH"), "HOME="+w.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("client: %w\n%s", err, out)
	}
	return nil
}

// underLoad carries out a block while clients push and pull through the virtual address: none of their requests may fail.
func (w *walk) underLoad(b block) {
	w.Helper()
	base := "http://" + virtual + ":8080"
	clients := load.Run(w.Context(), load.Options{Seed: 1, Clients: 4, Large: 1 << 20, Target: func(*rand.Rand) string { return base }})
	before := time.Now()
	w.do(b)
	took := time.Since(before)
	clients.Stop()
	calls := clients.History.Calls()
	verdict := check.History(calls)
	for _, problem := range verdict.Problems {
		w.Errorf("%v", problem)
	}
	shown := 0
	for _, c := range calls {
		if c.Failed() && shown < 10 {
			shown++
			w.Log(check.Describe(c))
		}
	}
	if len(verdict.Failed) > 0 {
		w.Errorf("failed requests: %v", verdict.Failed)
	}
	if len(calls) < 100 {
		w.Errorf("only %d requests: that was no load", len(calls))
	}
	w.Logf("         under load: %d requests in %.1f s, failed %v", len(calls), took.Seconds(), verdict.Failed)
}
