package more

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/test/clients"
)

func testDocker(t *testing.T, r clients.Registry) {
	program := clients.Docker(t, r.Host, "")
	docker := program.Run
	repo := r.Repo("docker/app")
	ref := r.Host + "/" + repo
	image := push(t, r, repo)
	docker(t, "pull", ref+":1")
	if out := docker(t, "image", "inspect", "--format", "{{index .RepoDigests 0}}", ref+":1"); out != ref+"@"+image.Digest.String() {
		t.Errorf("docker says that it pulled %s, want %s", out, image.Digest)
	}
	for name, content := range map[string]string{"Dockerfile": "FROM " + ref + ":1\nCOPY content /content\n", "content": strings.Repeat("content ", 10_000)} {
		if err := os.WriteFile(filepath.Join(program.Home, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	docker(t, "build", "--network", "none", "-t", ref+":2", program.Home)
	pushed := digestOf(t, docker(t, "push", ref+":2"))
	r.Holds(t, repo, "2", pushed)
	docker(t, "rmi", ref+":2", ref+":1")
	docker(t, "pull", ref+"@"+pushed.String())
}

// ctr starts containerd, and returns a function that runs its client.
func ctr(t *testing.T) func(args ...string) string {
	t.Helper()
	program := clients.Containerd(t)
	return func(args ...string) string {
		t.Helper()
		return program.Run(t, args...)
	}
}

func testContainerd(t *testing.T, r clients.Registry) {
	ctr := ctr(t)
	repo := r.Repo("containerd/app")
	ref := r.Host + "/" + repo
	image := push(t, r, repo)
	ctr("image", "pull", "--plain-http", "--snapshotter", "native", ref+":1")
	if out := ctr("image", "ls"); !strings.Contains(out, image.Digest.String()) {
		t.Errorf("ctr image ls does not show %s: %s", image.Digest, out)
	}
	ctr("image", "tag", ref+":1", ref+":2")
	ctr("image", "push", "--plain-http", ref+":2")
	r.Holds(t, repo, "2", image.Digest)
}

// digestIn reads a digest that a client wrote to a file.
func digestIn(t *testing.T, file string) digest.Digest {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := digest.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// digestOf finds the digest in what docker push said.
func digestOf(t *testing.T, said string) digest.Digest {
	t.Helper()
	_, rest, ok := strings.Cut(said, "digest: ")
	if !ok {
		t.Fatalf("docker push names no digest: %s", said)
	}
	return digest.Digest(strings.Fields(rest)[0])
}
