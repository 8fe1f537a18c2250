package image

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/test/clients"
)

const (
	tag     = "v0.0.1-test"
	created = "1700000000"
)

func TestMain(m *testing.M) {
	if os.Getenv("HOLDFAST_TEST_IMAGE") == "" {
		fmt.Println("these tests run by: make image-test (HOLDFAST_TEST_IMAGE=1)")
		return
	}
	os.Exit(m.Run())
}

func TestImage(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key.pem")
	command(t, "", "openssl", "genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
	layout := filepath.Join(t.TempDir(), "image")
	want := buildImage(t, "../..", layout, key)

	t.Run("Reproducible", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "another-folder")
		copySource(t, other)
		t.Setenv("GOCACHE", filepath.Join(t.TempDir(), "cache")) // nothing that the first build made is used again
		if got := buildImage(t, other, filepath.Join(t.TempDir(), "image"), ""); got != want {
			t.Errorf("a build in another folder gives %s, want %s", got, want)
		}
	})
	r := clients.Start(t)
	repo := r.Repo("holdfast")
	ref := r.Host + "/" + repo

	t.Run("Pushed", func(t *testing.T) {
		oras := clients.Find(t, "oras")
		oras.Run(t, "cp", "-r", "--from-oci-layout", "--to-plain-http", layout+":"+tag, ref+":"+tag)
		r.Holds(t, repo, tag, want)
		found := oras.Run(t, "discover", "--plain-http", "--format", "tree", ref+":"+tag)
		if !strings.Contains(found, "application/vnd.dev.cosign.artifact.sig.v1+json") {
			t.Errorf("the pushed index has no signature among its referrers: %s", found)
		}
		found = oras.Run(t, "discover", "--plain-http", "--platform", "linux/arm64", "--format", "tree", ref+":"+tag)
		if !strings.Contains(found, "application/spdx+json") {
			t.Errorf("the pushed image for arm64 has no bill among its referrers: %s", found)
		}
	})
	t.Run("Run", func(t *testing.T) { runImage(t, ref+":"+tag) })
}

// buildImage runs the builder in a folder with the source.
func buildImage(t *testing.T, source, layout, key string) digest.Digest {
	t.Helper()
	out := command(t, source, "go", "run", "./build/image", "-out", layout, "-version", tag, "-created", created, "-key", key)
	fields := strings.Fields(out)
	return digest.Digest(fields[len(fields)-1])
}

// copySource copies what git knows of, and what is new, to another path.
func copySource(t *testing.T, to string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(command(t, root, "git", "ls-files", "-co", "--exclude-standard"), "\n") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) || name == "" { // deleted, not yet committed
			continue
		}
		if err == nil {
			err = os.MkdirAll(filepath.Join(to, filepath.Dir(name)), 0o750)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// runImage has podman pull the image and run it as it would be run anywhere: as its own user, without a capability, with a
// root file system that cannot be written.
func runImage(t *testing.T, ref string) {
	store, err := os.MkdirTemp("", "hf-") // short: podman's sockets are below it
	if err != nil {
		t.Fatal(err)
	}
	program := clients.Find(t, "podman")
	podman := func(args ...string) string {
		t.Helper()
		return program.Run(t, append([]string{
			"--root", store + "/root", "--runroot", store + "/run", "--storage-driver", "vfs", "--events-backend", "none", "--cgroup-manager", "cgroupfs", "--runtime", "runc",
		}, args...)...)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(store); err != nil {
			t.Error(err)
		}
	})
	podman("pull", "--tls-verify=false", ref)
	limits := []string{
		"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--network", "host", "--read-only", "--read-only-tmpfs=false",
		"--cap-drop", "all", "--security-opt", "no-new-privileges",
	}
	if got, want := podman(append(append([]string{"run", "--rm"}, limits...), ref, "version")...), "holdfast "+tag; got != want {
		t.Errorf("the container says %q, want %q", got, want)
	}

	port := freePort(t)
	config := filepath.Join(t.TempDir(), "config.json")
	text := fmt.Sprintf(`{"storage":{"rootDirectory":"/data"},"http":{"address":"127.0.0.1","port":"%d","drainDelay":"0s"},"log":{"level":"info"}}`, port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	id := podman(append(append([]string{"run", "-d", "--tmpfs", "/data:rw,mode=1777", "-v", config + ":/etc/holdfast/config.json:ro"}, limits...), ref)...)
	defer podman("rm", "-f", id)
	ready(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", port), func() string { return podman("logs", id) })
	if got := podman("inspect", "--format", "{{.Config.User}}", id); got != "65532:65532" {
		t.Errorf("the container runs as %q", got)
	}
	image := clients.NewImage(t, 2)
	inside := fmt.Sprintf("127.0.0.1:%d/in/side:1", port)
	crane := clients.Find(t, "crane")
	crane.Run(t, "push", "--insecure", image.Dir, inside)
	if got := crane.Run(t, "digest", "--insecure", inside); got != image.Digest.String() {
		t.Errorf("the container holds %s, want %s", got, image.Digest)
	}
	podman("stop", "-t", "20", id)
	if got := podman("inspect", "--format", "{{.State.ExitCode}}", id); got != "0" {
		t.Errorf("the container ended with %s, want 0", got)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was only to find a port
	return l.Addr().(*net.TCPAddr).Port
}

// ready waits until url answers 200.
func ready(t *testing.T, url string, logs func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close() // nothing of it is wanted
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not answer 200: %v\n%s", url, err, logs())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String())
}
