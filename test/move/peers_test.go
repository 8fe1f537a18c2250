package move

import (
	"bytes"
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

	"github.com/opencontainers/go-digest"

	"holdfast/internal/move"
	"holdfast/internal/move/movetest"
	"holdfast/internal/s3"
	"holdfast/internal/s3/s3test"
)

// start runs another registry until the function that it returns is called, and returns its URL.
func start(t *testing.T, port string, program string, args ...string) (url string, stop func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // how it ends is its own affair
		if t.Failed() {
			t.Logf("%s said:\n%s", program, said.String())
		}
	}
	t.Cleanup(stop)
	url = "http://127.0.0.1:" + port
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get(url + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
			return url, stop
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v", program, err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// moved imports what another registry has, compares every digest by reading both, and imports it again.
func moved(t *testing.T, there, from string, stop func(), referrers bool, images []movetest.Image) {
	t.Helper()
	before := check(t, there, "", referrers, images)
	stop()
	cfg := local(t)
	began := time.Now()
	r := do(t, cfg, move.Request{Do: move.OpImport, Place: from})
	took := time.Since(began)
	url, end := replica(t, cfg)
	after := check(t, url, "", true, images)
	if before != after {
		t.Errorf("%d digests were read before, %d after", before, after)
	}
	t.Logf("imported in %s: %d repositories, %d tags, %d manifests, %d blobs with %d bytes, %d there already; %d digests compared by reading both",
		took.Round(time.Millisecond), r.Repositories, r.Tags, r.Manifests, r.Blobs, r.Bytes, r.Present, after)
	end()
	if again := do(t, cfg, move.Request{Do: move.OpImport, Place: from}); again.Unchanged != again.Repositories {
		t.Errorf("the second import: %+v", again)
	}
}

// TestRealZot: 100 images that a real zot wrote, with deduplication, into a directory and into a bucket. Only with ZOT.
func TestRealZot(t *testing.T) {
	zot := os.Getenv("ZOT")
	if zot == "" {
		t.Log("ZOT names no binary: TestZotBucket and the tests of internal/move write zot's storage themselves")
		return
	}
	images := movetest.Images(100)
	t.Run("directory", func(t *testing.T) {
		dir, port := t.TempDir(), freePort(t)
		url, stop := start(t, port, zot, "serve", zotFile(t, dir, port, s3test.Server{}, "", ""))
		for _, i := range images {
			push(t, url, i)
		}
		moved(t, url, "zot:"+dir, stop, true, images)
	})
	s3test.Each(t, func(t *testing.T, store s3test.Server) {
		target := store.Config(t)
		port := freePort(t)
		file := zotFile(t, t.TempDir(), port, store, target.Bucket, target.RootDirectory)
		url, stop := start(t, port, zot, "serve", file)
		for _, i := range images {
			push(t, url, i)
		}
		t.Logf("%d of the objects are placeholders", placeholders(t, store, target))
		moved(t, url, "zot-s3:"+file, stop, true, images)
	})
}

// placeholders counts the blobs without bytes in zot's bucket, at least one.
func placeholders(t *testing.T, store s3test.Server, cfg s3.Config) (n int) {
	t.Helper()
	for item, err := range store.Open(t, cfg).Foreign().List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if item.Size == 0 && strings.Contains(item.Key, "/blobs/sha256/") && !strings.HasSuffix(item.Key, digest.FromBytes(nil).Encoded()) {
			n++
		}
	}
	if n == 0 {
		t.Error("zot has deduplicated nothing: the test tests less than it says")
	}
	return n
}

// TestRealDistribution: 100 images that a real CNCF distribution registry wrote. Only with DISTRIBUTION.
func TestRealDistribution(t *testing.T) {
	distribution := os.Getenv("DISTRIBUTION")
	if distribution == "" {
		t.Log("DISTRIBUTION names no binary: the tests of internal/move write its storage themselves")
		return
	}
	images := movetest.Images(100)
	dir, port := t.TempDir(), freePort(t)
	file := filepath.Join(t.TempDir(), "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage:\n  filesystem: {rootdirectory: %s}\nhttp: {addr: \"127.0.0.1:%s\"}\n", dir, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	url, stop := start(t, port, distribution, strings.Fields("serve "+file)...)
	for _, i := range images {
		push(t, url, i)
	}
	moved(t, url, "distribution:"+dir, stop, false, images)
}
