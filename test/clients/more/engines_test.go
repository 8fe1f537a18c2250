package more

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/test/clients"
	"holdfast/test/cluster"
)

// startDocker starts a docker engine that trusts the registry, and returns its client.
func startDocker(t *testing.T, r clients.Registry) *clients.Program {
	t.Helper()
	dir := short(t)
	socket := "unix://" + dir + "/docker.sock"
	config, err := json.Marshal(map[string]any{
		"insecure-registries": []string{r.Host}, "storage-driver": "vfs", "bridge": "none", "iptables": false, "ip-masq": false,
		"data-root": dir + "/data", "exec-root": dir + "/exec", "pidfile": dir + "/docker.pid", "hosts": []string{socket},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/daemon.json", config, 0o600); err != nil {
		t.Fatal(err)
	}
	program := clients.Find(t, "docker", "DOCKER_HOST="+socket, "DOCKER_BUILDKIT=0")
	daemon(t, "dockerd", func() error {
		_, err := program.Try(t, "version")
		return err
	}, "--config-file", dir+"/daemon.json")
	return program
}

func testDocker(t *testing.T, r clients.Registry) {
	program := startDocker(t, r)
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

// startContainerd starts containerd, and returns a function that runs ctr.
func startContainerd(t *testing.T) func(args ...string) string {
	t.Helper()
	dir := short(t)
	if err := os.WriteFile(dir+"/config.toml", fmt.Appendf(nil, "version = 2\nroot = %q\nstate = %q\n[grpc]\n  address = %q\n[ttrpc]\n  address = %q\n[debug]\n  address = %q\n",
		dir+"/root", dir+"/state", dir+"/c.sock", dir+"/t.sock", dir+"/d.sock"), 0o600); err != nil {
		t.Fatal(err)
	}
	program := clients.Find(t, "ctr")
	ctr := func(args ...string) string {
		t.Helper()
		return program.Run(t, append([]string{"--address", dir + "/c.sock"}, args...)...)
	}
	daemon(t, "containerd", func() error {
		_, err := program.Try(t, "--address", dir+"/c.sock", "version")
		return err
	}, "--config", dir+"/config.toml")
	return ctr
}

func testContainerd(t *testing.T, r clients.Registry) {
	ctr := startContainerd(t)
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

// daemon runs a program until the test ends and waits until ready is content.
func daemon(t *testing.T, name string, ready func() error, args ...string) {
	t.Helper()
	path, err := cluster.Tool(name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(20 * time.Second):
		}
		// What it started may outlive it; its group is all ours.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		if text, err := os.ReadFile(out.Name()); err == nil && t.Failed() {
			t.Logf("%s wrote:\n%s", name, text[max(0, len(text)-3000):])
		}
	})
	for deadline := time.Now().Add(time.Minute); ; {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-done:
			t.Fatalf("%s has ended at its start: %v", name, err)
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready: %v", name, err)
		}
	}
}

// short returns a folder with a short path: the path of a socket has at most 107 bytes.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hf-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Log(err)
		}
	})
	return dir
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
