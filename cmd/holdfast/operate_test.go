package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/collect"
	"holdfast/internal/format"
	"holdfast/internal/lease"
	"holdfast/internal/record"
	"holdfast/internal/record/bolt"
)

// storeFile writes a configuration whose storage section has more members.
func storeFile(t *testing.T, dir, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	text := fmt.Sprintf(`{"storage":{"rootDirectory":%q%s},"http":{"address":"127.0.0.1","port":"0","drainDelay":"0s"}}`, dir, more)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func send(t *testing.T, method, url, contentType, body string, want int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != want {
		t.Fatalf("%s %s: %d, want %d: %s", method, url, resp.StatusCode, want, text)
	}
}

func digestOf(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }

func pushBlob(t *testing.T, server *running, repo, content string) string {
	t.Helper()
	d := digestOf(content)
	send(t, http.MethodPost, "http://"+server.address+"/v2/"+repo+"/blobs/uploads/?digest="+d, "application/octet-stream", content, http.StatusCreated)
	return d
}

// pushImage pushes an image of one layer.
func pushImage(t *testing.T, server *running, repo, tag, layer string) {
	t.Helper()
	pushBlob(t, server, repo, "{}")
	const of = `{"mediaType":"application/vnd.oci.image.%s","digest":%q,"size":%d}`
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":`+of+`,"layers":[`+of+`]}`,
		"config.v1+json", digestOf("{}"), 2, "layer.v1.tar", pushBlob(t, server, repo, layer), len(layer))
	send(t, http.MethodPut, "http://"+server.address+"/v2/"+repo+"/manifests/"+tag, "application/vnd.oci.image.manifest.v1+json", manifest, http.StatusCreated)
}

// stop ends a server as an operator does.
func (r *running) stop(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it did not end")
	}
	if r.err != nil {
		t.Fatalf("it ended with %v", r.err)
	}
}

// mode is how a command comes to a directory's store.
type mode struct {
	name   string
	served bool
}

var modes = []mode{{"through the server's socket", true}, {"without a server", false}}

// filled starts a server over a fresh directory, has it filled, and ends it where the mode has none.
func (m mode) filled(t *testing.T, more string, fill func(server *running)) (file, dir string) {
	t.Helper()
	dir = t.TempDir()
	file = storeFile(t, dir, more)
	server := start(t, command(t, self(t), "serve", file))
	fill(server)
	if !m.served {
		server.stop(t)
	}
	return file, dir
}

// report is an item of a command's JSON.
type report struct {
	Store  string         `json:"store"`
	Report collect.Report `json:"report"`
	Error  string         `json:"error"`
}

func parsed[T any](t *testing.T, text string) T {
	t.Helper()
	var out T
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return out
}

func TestGC(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			file, dir := m.filled(t, `,"gc":false`, func(server *running) {
				pushImage(t, server, "a", "latest", "a layer that stays")
				d := pushBlob(t, server, "b", "deleted")
				send(t, http.MethodDelete, "http://"+server.address+"/v2/b/blobs/"+d, "", "", http.StatusAccepted)
			})
			if code, _, stderr := outcome(t, "gc", file); code != exitUsage || !strings.Contains(stderr, "gc is false") {
				t.Errorf("with gc false, code %d: %s", code, stderr)
			}
			code, stdout, stderr := m.writesNothing(t, dir, "gc", "--dry-run", "--json", "--sub-path=/", file)
			if code != 0 || stderr != "" {
				t.Fatalf("a dry run: code %d: %s", code, stderr)
			}
			if r := parsed[[]report](t, stdout); len(r) != 1 || r[0].Store != "/" || !r[0].Report.DryRun || !r[0].Report.Full || r[0].Report.Counts[collect.KindBlobs].Found != 1 {
				t.Errorf("a dry run says %s", stdout)
			}
			code, stdout, stderr = outcome(t, "gc", "--sub-path=/", file)
			if code != 0 || !strings.Contains(stdout, "looked at everything: 2 repositories") {
				t.Errorf("code %d: %s%s", code, stdout, stderr)
			}
			code, stdout, _ = outcome(t, "gc", "--json", "--status", file)
			if r := parsed[[]struct{ Report struct{ Last collect.Report } }](t, stdout); code != 0 || len(r) != 1 || r[0].Report.Last.FreedBytes() != int64(len("deleted")) {
				t.Errorf("the status: code %d: %s", code, stdout)
			}
			for _, content := range []string{"a layer that stays", "{}"} {
				if !holds(t, dir, content) {
					t.Errorf("%q is gone", content)
				}
			}
			if holds(t, dir, "deleted") {
				t.Error("the deleted blob is there")
			}
			if code, stdout, stderr := outcome(t, "fsck", file); code != 0 || !strings.Contains(stdout, "no findings") {
				t.Errorf("fsck: code %d: %s%s", code, stdout, stderr)
			}
			code, stdout, stderr = outcome(t, "gc", "--json", "--repository=a", file)
			if r := parsed[[]report](t, stdout); code != 0 || len(r) != 1 || r[0].Report.Repositories != 1 {
				t.Errorf("one repository: code %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

// TestGrace: what a tag named goes after the grace, not before, and what the tag names stays.
func TestGrace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := storeFile(t, dir, `,"gcDelay":"1h"`)
	cmd := command(t, self(t), "serve", file)
	cmd.Env = append(cmd.Env, divisorVariable+"=120")
	server := start(t, cmd)
	if !strings.Contains(strings.Join(server.lines, "\n"), "all ages are divided") {
		t.Error("divided ages, and no warning")
	}
	pushImage(t, server, "a", "latest", "old")
	pushImage(t, server, "a", "latest", "new")
	const grace = 30 * time.Second
	began := time.Now()
	for holds(t, dir, "old") {
		if code, stdout, stderr := outcome(t, "gc", file); code != 0 && code != exitUnavailable {
			t.Fatalf("code %d: %s%s", code, stdout, stderr)
		}
		if time.Since(began) > 4*grace {
			t.Fatal("what the tag named is still there")
		}
		time.Sleep(time.Second)
	}
	if gone := time.Since(began); gone < grace-time.Second {
		t.Errorf("what the tag named is gone after %s", gone)
	}
	if !holds(t, dir, "new") {
		t.Error("what the tag names is gone")
	}
	send(t, http.MethodGet, "http://"+server.address+"/v2/a/manifests/latest", "", "", http.StatusOK)
	ended := time.Now()
	if server.stop(t); time.Since(ended) > 10*time.Second {
		t.Errorf("it ended after %s", time.Since(ended))
	}
}

func TestRetentionPreview(t *testing.T) {
	const rules = `,"retention":{"policies":[{"repositories":["a"],"keepTags":[{"patterns":["v.*"],"mostRecentlyPushedCount":1},{"patterns":["p.*"],"pulledWithin":"1h"}]}]}`
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			file, dir := m.filled(t, rules, func(server *running) {
				for _, tag := range []string{"v1", "v2", "x", "p"} {
					pushImage(t, server, "a", tag, "layer "+tag)
				}
				pushImage(t, server, "b", "x", "layer")
			})
			code, stdout, stderr := m.writesNothing(t, dir, "retention", "preview", "--json", file)
			type row struct {
				Repository, Tag, Why string
				Keep                 bool
			}
			kept := map[string]bool{}
			for _, r := range parsed[[]row](t, stdout) {
				if kept[r.Repository+":"+r.Tag] = r.Keep; r.Why == "" {
					t.Errorf("no reason for %s", r.Tag)
				}
			}
			if diff := cmp.Diff(map[string]bool{"a:v1": false, "a:v2": true, "a:x": false, "a:p": true, "b:x": true}, kept); code != 0 || diff != "" {
				t.Errorf("code %d %s (-want +got):\n%s", code, stderr, diff)
			}
			code, stdout, _ = outcome(t, "retention", "preview", "--repository=b", file)
			if lines := strings.Split(strings.TrimSpace(stdout), "\n"); code != 0 || len(lines) != 2 || !strings.HasPrefix(lines[1], "b           x    keep  ") {
				t.Errorf("code %d: %s", code, stdout)
			}
		})
	}
}

func TestTagHistoryAndRestore(t *testing.T) {
	type history struct {
		Digest, By string
		Before     []struct {
			Digest  string
			Present bool
			Deleted bool
		}
	}
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			file, _ := m.filled(t, "", func(server *running) {
				pushImage(t, server, "a/b", "latest", "first")
				pushImage(t, server, "a/b", "latest", "second")
				send(t, http.MethodDelete, "http://"+server.address+"/v2/a/b/manifests/latest", "", "", http.StatusAccepted)
			})
			code, stdout, stderr := outcome(t, "tag", "history", "--json", "a/b:latest", file)
			h := parsed[history](t, stdout)
			if code != 0 || h.Digest != "" || len(h.Before) != 2 || !h.Before[0].Deleted || !h.Before[1].Present {
				t.Fatalf("code %d: %s%s", code, stdout, stderr)
			}
			first, second := h.Before[1].Digest, h.Before[0].Digest
			if code, stdout, stderr := outcome(t, "tag", "restore", "a/b:latest", file); code != 0 || !strings.Contains(stdout, second+"  ") || strings.Contains(stdout, "(deleted)") {
				t.Errorf("restore: code %d: %s%s", code, stdout, stderr)
			}
			code, stdout, stderr = outcome(t, "tag", "restore", "--json", "--digest="+first, "a/b:latest", file)
			if h := parsed[history](t, stdout); code != 0 || h.Digest != first || h.By != "holdfast tag restore" {
				t.Errorf("restore the first: code %d: %s%s", code, stdout, stderr)
			}
			code, stdout, _ = outcome(t, "tag", "history", "--all", "a/b:latest", file)
			if lines := strings.Split(stdout, "\n"); code != 0 || !strings.HasPrefix(lines[1], first+"  ") || !strings.Contains(lines[1], "  now  ") || !strings.HasPrefix(lines[2], second) {
				t.Errorf("history: code %d: %s", code, stdout)
			}
			for _, row := range []struct {
				args []string
				code int
				says string
			}{
				{[]string{"restore", "--digest=" + digestOf("other"), "a/b:latest", file}, exitFailure, "MANIFEST_UNKNOWN"},
				{[]string{"restore", "--digest=x", "a/b:latest", file}, exitUsage, "digest"},
				{[]string{"history", "a/b:other", file}, exitFailure, "MANIFEST_UNKNOWN"},
				{[]string{"history", "a/b", file}, exitUsage, "REPOSITORY:TAG"},
				{[]string{"history", "a/b:-", file}, exitUsage, "tag"},
				{[]string{"history"}, exitUsage, "Usage:"},
			} {
				if code, stdout, stderr := outcome(t, append([]string{"tag"}, row.args...)...); code != row.code || !strings.Contains(stderr, row.says) {
					t.Errorf("%v: code %d, want %d and %q: %s%s", row.args, code, row.code, row.says, stdout, stderr)
				}
			}
		})
	}
}

func TestDamageIsFound(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			file, dir := m.filled(t, "", func(server *running) { pushImage(t, server, "a", "latest", "a layer") })
			for _, args := range [][]string{{"fsck", file}, {"scrub", file}} {
				if code, stdout, stderr := outcome(t, args...); code != 0 {
					t.Fatalf("%s of a whole store: code %d: %s%s", args[0], code, stdout, stderr)
				}
			}
			if err := os.Remove(segmentOf(t, dir, "a layer")); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := outcome(t, "fsck", "--json", file)
			if r := parsed[[]struct{ Report struct{ Findings []any } }](t, stdout); code != exitFailure || len(r[0].Report.Findings) == 0 || stderr != "" {
				t.Errorf("fsck: code %d: %s%s", code, stdout, stderr)
			}
			code, stdout, stderr = outcome(t, "scrub", "--json", file)
			type damages struct {
				Report struct{ Damaged []struct{ Kind string } }
			}
			if r := parsed[[]damages](t, stdout); code != exitFailure || len(r[0].Report.Damaged) != 1 || r[0].Report.Damaged[0].Kind != "missing" {
				t.Errorf("scrub: code %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

func TestTokenAndEndpoint(t *testing.T) {
	dir := t.TempDir()
	file := storeFile(t, dir, "")
	server := start(t, command(t, self(t), "serve", file))
	code, stdout, stderr := outcome(t, "token", "--for=admin", "--ttl=1m", file)
	if code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	for token, want := range map[string]int{strings.TrimSpace(stdout): http.StatusOK, "": http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+server.address+"/v2/_holdfast/gc?full=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d with token %q, want %d: %s", resp.StatusCode, token, want, text)
		}
		if r := []report{}; want == http.StatusOK && (json.Unmarshal(text, &r) != nil || !r[0].Report.Full) {
			t.Errorf("it answers %s", text)
		}
	}
	for _, args := range [][]string{{"token", "--for=root", file}, {"token", "--ttl=25h", file}} {
		if code, _, stderr := outcome(t, args...); code != exitUsage {
			t.Errorf("%v: code %d: %s", args, code, stderr)
		}
	}
}

func TestWorkThatCannotBeDone(t *testing.T) {
	held := mode{}
	file, dir := held.filled(t, "", func(server *running) { pushImage(t, server, "a", "latest", "a layer") })
	func() {
		records, err := bolt.Open(t.Context(), bolt.Config{Dir: filepath.Join(dir, "holdfast")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lease.Take(t.Context(), format.Store{Records: records, Ages: format.DefaultAges()}, collect.LeaseName, "somebody:1", 0); err != nil {
			t.Fatal(err)
		}
		if err := records.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := silent.Addr().String()
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	s3 := storeFile(t, "/x", fmt.Sprintf(`,"storageDriver":{"name":"s3","regionendpoint":"http://%s","region":"r","bucket":"b","accesskey":"a","secretkey":"s"}`, gone))
	nothing := filepath.Join(t.TempDir(), "nothing")
	for _, row := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"another is at it", []string{"gc", file}, exitUnavailable, "somebody:1"},
		{"a dry run beside it", []string{"gc", "--dry-run", file}, 0, ""},
		{"the store does not answer", []string{"fsck", s3}, exitUnavailable, gone},
		{"no store yet", []string{"gc", storeFile(t, nothing, "")}, exitConfig, nothing},
		{"wrong file", []string{"scrub", "no.json"}, exitConfig, "no.json"},
		{"wrong sub-path", []string{"gc", "--sub-path=/a", file}, exitUsage, "/a"},
		{"wrong repository", []string{"retention", "preview", "--repository=A", file}, exitUsage, "lower case"},
		{"half a command", []string{"retention"}, exitUsage, "preview"},
		{"wrong half", []string{"retention", "review"}, exitUsage, `unknown command "review"`},
		{"two files", []string{"fsck", file, file}, exitUsage, "Usage:"},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := outcome(t, row.args...)
			if code != row.code || !strings.Contains(stderr, row.says) {
				t.Errorf("code %d, want %d and %q:\n%s%s", code, row.code, row.says, stdout, stderr)
			}
		})
	}
	if _, err := os.Stat(nothing); err == nil {
		t.Error("a command made a directory")
	}
}

// TestTooShortAges: ages that store times cannot measure are refused.
func TestTooShortAges(t *testing.T) {
	for _, divisor := range []string{"121", "0", "many"} {
		cmd := command(t, self(t), "serve", storeFile(t, t.TempDir(), ""))
		cmd.Env = append(cmd.Env, divisorVariable+"="+divisor)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run() // its code says it
		if cmd.ProcessState.ExitCode() != exitConfig || !strings.Contains(stderr.String(), divisorVariable) {
			t.Errorf("%s: code %d: %s", divisor, cmd.ProcessState.ExitCode(), stderr.String())
		}
	}
}

// writesNothing runs a command, which is to leave the directory as it is. A server may write its heartbeat into the database meanwhile, but not each time.
func (m mode) writesNothing(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	database := filepath.Join(dir, "holdfast", "records.db")
	for try := 1; ; try++ {
		before := m.tree(t, dir)
		code, stdout, stderr = outcome(t, args...)
		after := m.tree(t, dir)
		if m.served && try < 3 && before[database] != after[database] {
			before[database] = after[database]
			if cmp.Equal(before, after) {
				continue
			}
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s wrote (-before +after):\n%s", strings.Join(args, " "), diff)
		}
		return code, stdout, stderr
	}
}

// tree are the files below a directory, by the hash of their content. Of the database it is the hash of what is in it: to open it writes
// the file's head. Where a server has it open it is the file.
func (m mode) tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	eachFile(t, dir, func(path string, content []byte) { out[path] = digestOf(string(content)) })
	if m.served {
		return out
	}
	records, err := bolt.Open(t.Context(), bolt.Config{Dir: filepath.Join(dir, "holdfast")})
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, folder := range []record.Key{"b/", "cfg/", "h/", "l/", "n/", "p/", "r/", "u/"} {
		for entry, err := range records.List(t.Context(), folder, "") {
			if err != nil {
				t.Fatal(err)
			}
			all += fmt.Sprintln(entry)
		}
	}
	if err := records.Close(); err != nil {
		t.Fatal(err)
	}
	out[filepath.Join(dir, "holdfast", "records.db")] = all
	return out
}

func eachFile(t *testing.T, dir string, do func(path string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		var content []byte
		if err == nil && entry.Type().IsRegular() {
			if content, err = os.ReadFile(path); err == nil {
				do(path, content)
			}
		}
		if errors.Is(err, fs.ErrNotExist) && path != dir { // a server may run
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// segmentOf is the file that holds a content, "" for none.
func segmentOf(t *testing.T, dir, content string) (found string) {
	t.Helper()
	eachFile(t, filepath.Join(dir, "holdfast", "data"), func(path string, got []byte) {
		if string(got) == content {
			found = path
		}
	})
	return found
}

func holds(t *testing.T, dir, content string) bool {
	t.Helper()
	return segmentOf(t, dir, content) != ""
}

// TestInterruptedWork: Ctrl-C ends a command, and the end of a server the work that it does for one; both leave nothing behind that others wait for.
func TestInterruptedWork(t *testing.T) {
	for _, who := range []string{"command", "server"} {
		t.Run(who, func(t *testing.T) {
			file := storeFile(t, t.TempDir(), `,"gc":false,"gcRequestsPerSecond":1`) // slow enough to be seen
			server := start(t, command(t, self(t), "serve", file))
			for i := range 10 {
				pushBlob(t, server, "a", fmt.Sprint("blob ", i))
			}
			var stderr bytes.Buffer
			gc := command(t, self(t), "gc", "--sub-path=/", file)
			gc.Stderr = &stderr
			if err := gc.Start(); err != nil {
				t.Fatal(err)
			}
			status := func() string {
				_, stdout, _ := outcome(t, "gc", "--status", file)
				return stdout
			}
			deadline := time.Now().Add(30 * time.Second)
			for !strings.Contains(status(), "makes a pass, begun") {
				if time.Now().After(deadline) {
					t.Fatalf("no pass begins: %s", status())
				}
			}
			began, want, says := time.Now(), exitFailure, "interrupted"
			if who == "server" {
				want, says = exitUnavailable, "the server ends"
				server.stop(t)
			} else if err := gc.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			_ = gc.Wait() // its code says it
			if code := gc.ProcessState.ExitCode(); code != want || !strings.Contains(stderr.String(), says) {
				t.Errorf("code %d, want %d and %q: %s", code, want, says, stderr.String())
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			for strings.Contains(status(), "makes a pass, begun") {
				if time.Since(began) > 20*time.Second {
					t.Fatalf("the pass goes on: %s", status())
				}
			}
			if !strings.Contains(status(), "was interrupted at") {
				t.Errorf("the status: %s", status())
			}
		})
	}
}
