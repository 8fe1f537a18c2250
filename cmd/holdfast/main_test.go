package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/format"
)

// asHoldfast in the environment makes this test binary the command itself.
const asHoldfast = "HOLDFAST_TEST_AS_COMMAND"

// asVersion and withFeature in the environment make that command another version, which knows one more feature of the storage format.
const (
	asVersion   = "HOLDFAST_TEST_AS_VERSION"
	withFeature = "HOLDFAST_TEST_WITH_FEATURE"
)

func TestMain(m *testing.M) {
	if os.Getenv(asHoldfast) != "" {
		version = cmp.Or(os.Getenv(asVersion), version)
		if name := os.Getenv(withFeature); name != "" {
			features = append(features, format.Feature{Name: name, Since: version, Text: "one that only tests have"})
		}
		main()
		return
	}
	os.Exit(m.Run())
}

func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), asHoldfast+"=1")
	return cmd
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// outcome runs holdfast to its end.
func outcome(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := command(t, self(t), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// configFile writes a configuration that serves a fresh directory at address, with more members of the
// root.
func configFile(t *testing.T, address, dir, more string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	text := fmt.Sprintf(`{"storage":{"rootDirectory":%q},"http":{"address":%q,"port":%q}%s}`, dir, host, port, more)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// running is a holdfast that serves.
type running struct {
	cmd     *exec.Cmd
	address string
	lines   []string      // of its log, up to "listening"
	ended   chan struct{} // closed when err says how it ended
	err     error
}

// start starts cmd and waits until it listens.
func start(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &running{cmd: cmd, ended: make(chan struct{})}
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-r.ended })
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		r.lines = append(r.lines, scanner.Text())
		var line struct{ Msg, Address string }
		if json.Unmarshal(scanner.Bytes(), &line) == nil && line.Msg == "listening" {
			r.address = line.Address
			break
		}
	}
	go func() {
		for scanner.Scan() { // its log must not fill the pipe
		}
		r.err = cmd.Wait()
		close(r.ended)
	}()
	if r.address == "" {
		t.Fatalf("it never listened:\n%s", strings.Join(r.lines, "\n"))
	}
	return r
}

func status(t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	server := start(t, command(t, self(t), "serve", configFile(t, "127.0.0.1:0", dir, "")))
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := silent.Addr().String()
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	s3 := filepath.Join(t.TempDir(), "s3.json")
	text := fmt.Sprintf(`{"storage":{"rootDirectory":"/x","storageDriver":{"name":"s3","regionendpoint":"http://%s","region":"r","bucket":"b","accesskey":"a","secretkey":"s"}},"http":{"address":"127.0.0.1","port":"0"}}`, gone)
	if err := os.WriteFile(s3, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		args   []string
		code   int
		says   []string // on stderr, or on stdout when the code is 0
		unsaid string
	}{
		{"no command", nil, 2, []string{"a command is needed", "Usage:", "serve"}, ""},
		{"unknown command", []string{"sevre"}, 2, []string{`unknown command "sevre"`}, ""},
		{"unknown flag", []string{"serve", "--prot=1"}, 2, []string{"--prot", "Usage:"}, ""},
		{"too many files", []string{"serve", "a", "b"}, 2, []string{"Usage:"}, ""},
		{"verify without a file", []string{"verify", "config"}, 2, []string{"which file?"}, ""},
		{"version", []string{"version"}, 0, []string{"holdfast unknown"}, ""},
		{"no such file", []string{"serve", "no.json"}, 78, []string{"no.json"}, ""},
		{"every problem at once", []string{"verify", "config", configFile(t, "127.0.0.1:0", dir, `,"storge":{},"log":{"level":"loud"}`)}, 78, []string{"storge", "storage", "log.level", "loud"}, "Usage:"},
		{"serve refuses the same file", []string{"serve", configFile(t, "127.0.0.1:0", dir, `,"storge":{}`)}, 78, []string{"storge"}, "Usage:"},
		{"valid", []string{"verify", configFile(t, "127.0.0.1:0", dir, "")}, 0, []string{"is valid: 0 warnings"}, ""},
		{"address in use", []string{"serve", configFile(t, server.address, t.TempDir(), "")}, 78, []string{"listen on " + server.address, "in use"}, "Usage:"},
		{"directory in use", []string{"serve", configFile(t, "127.0.0.1:0", dir, "")}, 78, []string{dir, fmt.Sprint(server.cmd.Process.Pid)}, "Usage:"},
		{"store that does not answer", []string{"serve", "--exit-if-unavailable", s3}, 75, []string{"does not answer", gone}, "Usage:"},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := outcome(t, row.args...)
			if code != row.code {
				t.Errorf("exit code = %d, want %d\n%s%s", code, row.code, stdout, stderr)
			}
			said := stderr
			if code == 0 {
				said = stdout
			}
			for _, want := range row.says {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q:\n%s", want, said)
				}
			}
			if row.unsaid != "" && strings.Contains(said, row.unsaid) {
				t.Errorf("it says %q:\n%s", row.unsaid, said)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	file := configFile(t, "127.0.0.1:0", t.TempDir(), "")
	server := start(t, command(t, self(t), "serve", file))
	base := "http://" + server.address
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/v2/"} {
		if got := status(t, base+path); got != http.StatusOK {
			t.Errorf("%s = %d before the signal", path, got)
		}
	}
	if err := server.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for status(t, base+"/readyz") != http.StatusNotFound {
		if time.Now().After(deadline) {
			t.Fatal("/readyz never said 404 after SIGTERM")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := server.cmd.Process.Signal(syscall.SIGHUP); err != nil { // a reload that comes late must not cut off what is in flight
		t.Fatal(err)
	}
	select {
	case <-server.ended:
		t.Fatalf("SIGHUP while draining ended it: %v", server.err)
	case <-time.After(200 * time.Millisecond):
	}
	if got := status(t, base+"/v2/"); got != http.StatusOK {
		t.Errorf("/v2/ = %d while draining", got)
	}
	if got := status(t, base+"/livez"); got != http.StatusOK {
		t.Errorf("/livez = %d while draining", got)
	}
	select {
	case <-server.ended:
		if server.err != nil {
			t.Errorf("it ended with %v", server.err)
		}
	case <-time.After(time.Minute):
		t.Error("it did not end")
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	server := start(t, command(t, self(t), "serve", configFile(t, "127.0.0.1:0", t.TempDir(), "")))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // less than the delay of a drain
	defer cancel()
	for ctx.Err() == nil {
		_ = server.cmd.Process.Signal(os.Interrupt)
		select {
		case <-server.ended:
			var exit *exec.ExitError
			if !errors.As(server.err, &exit) || exit.ExitCode() != exitFailure {
				t.Errorf("it ended with %v", server.err)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Error("it went on draining")
}

func TestFewDescriptorsAreWarnedOf(t *testing.T) {
	file := configFile(t, "127.0.0.1:0", t.TempDir(), "")
	few := start(t, command(t, "sh", "-c", `ulimit -n 1024 && exec "$0" serve "$1"`, self(t), file))
	if !strings.Contains(strings.Join(few.lines, "\n"), "few file descriptors") {
		t.Errorf("1024 descriptors, and no warning:\n%s", strings.Join(few.lines, "\n"))
	}
}
