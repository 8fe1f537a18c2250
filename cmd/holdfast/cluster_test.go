package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/cluster"
)

// as makes a command one of another version, which may know a feature.
func as(cmd *exec.Cmd, version, feature string) *exec.Cmd {
	cmd.Env = append(cmd.Env, asVersion+"="+version, withFeature+"="+feature)
	return cmd
}

// outcomeAs is outcome of another version.
func outcomeAs(t *testing.T, version, feature string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := as(command(t, self(t), args...), version, feature)
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // its code says it
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func wants(t *testing.T, what string, code, want int, text string, says ...string) {
	t.Helper()
	if code != want {
		t.Errorf("%s: code %d, want %d: %s", what, code, want, text)
	}
	for _, s := range says {
		if !strings.Contains(text, s) {
			t.Errorf("%s: it does not say %q: %s", what, s, text)
		}
	}
}

// TestUpgradeOfADirectory: the new version runs over what the old one wrote, and back, until a feature is enabled; then the old one does not start, and says
// which version does.
func TestUpgradeOfADirectory(t *testing.T) {
	dir := t.TempDir()
	file := storeFile(t, dir, "")
	old := start(t, as(command(t, self(t), "serve", file), "v1.0.0", ""))
	pushImage(t, old, "team/app", "latest", "layer")
	code, _, stderr := outcomeAs(t, "v2.0.0", "dense", "upgrade", "--enable=dense", file)
	wants(t, "enabling while the old version serves", code, exitUsage, stderr, "no such feature")
	old.stop(t)

	newer := start(t, as(command(t, self(t), "serve", file), "v2.0.0", "dense"))
	code, stdout, _ := outcomeAs(t, "v2.0.0", "dense", "upgrade", file)
	wants(t, "upgrade", code, 0, stdout, "dense: can be enabled", "known since v2.0.0")
	newer.stop(t)

	old = start(t, as(command(t, self(t), "serve", file), "v1.0.0", ""))
	send(t, http.MethodGet, "http://"+old.address+"/v2/team/app/manifests/latest", "", "", http.StatusOK)
	old.stop(t)

	newer = start(t, as(command(t, self(t), "serve", file), "v2.0.0", "dense"))
	code, stdout, stderr = outcomeAs(t, "v2.0.0", "dense", "upgrade", "--enable=dense", file)
	wants(t, "enable", code, 0, stdout+stderr, "dense: enabled")
	newer.stop(t)

	code, _, stderr = outcomeAs(t, "v1.0.0", "", "serve", file)
	wants(t, "the old version", code, exitConfig, stderr, "dense (known since v2.0.0)")
	code, _, stderr = outcomeAs(t, "v1.0.0", "", "fsck", file)
	wants(t, "its fsck", code, exitConfig, stderr, "dense (known since v2.0.0)")
	code, stdout, stderr = outcomeAs(t, "v2.0.0", "dense", "fsck", file)
	wants(t, "the new one's fsck", code, 0, stdout+stderr)
}

// TestStatus: of a server that runs, one that was killed, one that never was; as JSON, through the API, and with exit codes.
func TestStatus(t *testing.T) {
	dir := t.TempDir()
	file := storeFile(t, dir, "")
	code, _, stderr := outcome(t, "status", file)
	wants(t, "before anything", code, exitConfig, stderr, "no registry has been in")
	server := start(t, as(command(t, self(t), "serve", file), "v1.0.0", ""))
	pushImage(t, server, "team/app", "latest", "layer")
	deadline := time.Now().Add(time.Minute)
	var stdout string
	for code = -1; code != 0 && time.Now().Before(deadline); {
		code, stdout, stderr = outcome(t, "status", file)
	}
	wants(t, "while it serves", code, 0, stdout+stderr, "all is well", "REPLICA", "ready", "v1.0.0", server.address, "format     1")

	_, token, _ := outcome(t, "token", file)
	code, stdout, stderr = outcome(t, "status", "--url=http://"+server.address+"/", "--token="+strings.TrimSpace(token), "--json")
	var v cluster.View
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != 0 || len(v.Replicas) != 1 || v.AnsweredBy != v.Replicas[0].ID {
		t.Errorf("through the API: %d %v: %s%s", code, err, stdout, stderr)
	}
	code, _, stderr = outcome(t, "status", "--url=http://"+server.address)
	wants(t, "without a token", code, exitFailure, stderr, "HOLDFAST_TOKEN")
	code, _, stderr = outcome(t, "status", "--url=http://127.0.0.1:1")
	wants(t, "nobody there", code, exitUnavailable, stderr)
	code, _, stderr = outcome(t, "status", "--url=http://127.0.0.1:1", file)
	wants(t, "both", code, exitUsage, stderr, "not both")

	if err := server.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-server.ended
	code, stdout, stderr = outcome(t, "status", file)
	if code == 0 {
		// It is lost a minute after its last heartbeat only: until then it seems ready.
		wants(t, "just killed", code, 0, stdout+stderr, "v1.0.0")
	}
	server = start(t, as(command(t, self(t), "serve", file), "v1.0.0", ""))
	server.stop(t)
	if code, stdout, _ = outcome(t, "status", "--json", file); !json.Valid([]byte(stdout)) {
		t.Errorf("%d: no JSON: %s", code, stdout)
	}
}

// TestStatusAfterAnEnd: a server that ended as it should leaves no heartbeat, and that nobody serves is wrong.
func TestStatusAfterAnEnd(t *testing.T) {
	file := storeFile(t, t.TempDir(), "")
	start(t, command(t, self(t), "serve", file)).stop(t)
	code, stdout, stderr := outcome(t, "status", file)
	wants(t, "nobody serves", code, exitFailure, stdout+stderr, "ONE THING IS WRONG", "no replica is ready", "no replica has a heartbeat")
}

// TestRotateSecret: in the server that has the directory open, and without one. Uploads and tokens go on, unless the old secret is revoked.
func TestRotateSecret(t *testing.T) {
	file := storeFile(t, t.TempDir(), "")
	server := start(t, command(t, self(t), "serve", file))
	_, token, _ := outcome(t, "token", file)
	ask := func() int {
		t.Helper()
		code, _, _ := outcome(t, "status", "--url=http://"+server.address, "--token="+strings.TrimSpace(token), "--json")
		return code
	}
	if code := ask(); code != 0 {
		t.Fatalf("the token: %d", code)
	}
	code, stdout, stderr := outcome(t, "secret", "rotate", file)
	wants(t, "rotate", code, 0, stdout+stderr, "uploads in progress go on", "admin tokens that the old one signed end at")
	if code := ask(); code != 0 {
		t.Errorf("a token of the old secret: %d", code)
	}
	code, stdout, stderr = outcome(t, "secret", "rotate", "--revoke", file)
	wants(t, "revoke", code, 0, stdout+stderr, "good no more")
	if code := ask(); code != exitFailure {
		t.Errorf("a token of a revoked secret: %d", code)
	}
	server.stop(t)
	code, stdout, stderr = outcome(t, "secret", "rotate", "--json", file)
	wants(t, "without a server", code, 0, stdout+stderr, `"oldUntil"`)
	code, _, stderr = outcome(t, "secret", file)
	wants(t, "no command", code, exitUsage, stderr)
}
