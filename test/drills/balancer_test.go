package drills

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/test/cluster"
)

// TestConfigurations: HAProxy takes both files as they are, but for the folder of the error files, and without
// a warning.
func TestConfigurations(t *testing.T) {
	haproxy, err := cluster.Tool("haproxy")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{ourHAProxy, zotHAProxy} {
		errors, err := filepath.Abs(filepath.Join(filepath.Dir(file), "errors"))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(readFile(t, file), "/etc/haproxy/holdfast", errors)
		out, err := exec.CommandContext(t.Context(), haproxy, "-c", "-f", writeFile(t, text)).CombinedOutput()
		if err != nil || strings.Contains(string(out), "[WARNING]") {
			t.Errorf("haproxy -c %s: %v\n%s", file, err, out)
		}
	}
}

// TestD12Reload: HAProxy loads its configuration anew, several times. No read fails.
func TestD12Reload(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D12-reload",
		inject: func(r *run) {
			for range 5 {
				r.must(r.cluster.SignalHAProxy(syscall.SIGUSR2))
				r.sleep(pick(size, 700*time.Millisecond, 2*time.Second))
			}
		},
		limits: limits{failed: []string{"none"}, writes: 2, recovery: time.Second},
	})
}

// TestD12Restart: HAProxy is killed and started again; clients go on where they were.
func TestD12Restart(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D12-restart", hold: pick(size, 300*time.Millisecond, 2*time.Second),
		inject: func(r *run) { r.must(r.cluster.SignalHAProxy(syscall.SIGKILL)) },
		heal:   func(r *run) { r.must(r.cluster.RestartHAProxy(r.Context())) },
		limits: limits{failed: []string{"none", "cut"}, reads: true, givenUp: true, recovery: time.Second},
	})
}
