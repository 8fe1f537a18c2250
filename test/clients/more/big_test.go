package more

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/test/clients"
)

const bigLayer = 1 << 30

// testBigLayer lets every client that handles any image push a layer of a GiB, each to a repository of its own so
// that the bytes travel, and pull it again.
func testBigLayer(t *testing.T, r clients.Registry) {
	image := clients.NewBigImage(t, bigLayer)
	// podman takes the layout's path for a name: it must be in lower case.
	lower := filepath.Join(clients.Short(t), "layout")
	if err := os.Rename(image.Dir, lower); err != nil {
		t.Fatal(err)
	}
	image.Dir = lower
	layout := "oci:" + image.Dir + ":" + image.Tag
	ref := func(client string) (repo, ref string) {
		repo = r.Repo("big/" + client)
		return repo, r.Host + "/" + repo
	}
	t.Run("Crane", func(t *testing.T) {
		crane, dir := clients.Find(t, "crane").Run, filepath.Join(t.TempDir(), "pulled")
		repo, ref := ref("crane")
		crane(t, "push", "--insecure", image.Dir, ref+":1")
		r.Holds(t, repo, "1", image.Digest)
		crane(t, "pull", "--insecure", "--format", "oci", ref+":1", dir)
		clients.Pulled(t, dir, image.Digest)
	})
	t.Run("Skopeo", func(t *testing.T) {
		skopeo, dir := clients.Find(t, "skopeo").Run, t.TempDir()
		repo, ref := ref("skopeo")
		skopeo(t, "--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false", layout, "docker://"+ref+":1")
		r.Holds(t, repo, "1", image.Digest)
		skopeo(t, "--insecure-policy", "copy", "--preserve-digests", "--src-tls-verify=false", "docker://"+ref+":1", "oci:"+dir+":1")
		clients.Pulled(t, dir, image.Digest)
	})
	t.Run("Oras", func(t *testing.T) {
		oras, dir := clients.Find(t, "oras").Run, t.TempDir()
		repo, ref := ref("oras")
		oras(t, "cp", "--from-oci-layout", "--to-plain-http", image.Dir+":"+image.Tag, ref+":1")
		r.Holds(t, repo, "1", image.Digest)
		oras(t, "cp", "--from-plain-http", "--to-oci-layout", ref+":1", dir+":1")
		clients.Pulled(t, dir, image.Digest)
	})
	t.Run("Regctl", func(t *testing.T) {
		program, dir := clients.Find(t, "regctl", "REGCTL_CONFIG="+filepath.Join(t.TempDir(), "regctl.json")), filepath.Join(t.TempDir(), "pulled")
		program.Run(t, "registry", "set", "--tls", "disabled", r.Host)
		repo, ref := ref("regctl")
		program.Run(t, "image", "copy", "ocidir://"+image.Dir+":"+image.Tag, ref+":1")
		r.Holds(t, repo, "1", image.Digest)
		program.Run(t, "image", "copy", ref+":1", "ocidir://"+dir+":1")
		clients.Pulled(t, dir, image.Digest)
	})
	t.Run("Podman", func(t *testing.T) {
		podman, file := newPodman(t), filepath.Join(t.TempDir(), "digest")
		repo, ref := ref("podman")
		id := podman("pull", layout)
		podman("push", "--tls-verify=false", "--digestfile", file, id, ref+":1")
		r.Holds(t, repo, "1", digestIn(t, file))
		podman("rmi", "--all", "--force")
		podman("pull", "--tls-verify=false", ref+"@"+digestIn(t, file).String())
		podman("rmi", "--all", "--force")
	})
	t.Run("Docker", func(t *testing.T) {
		docker, archive := clients.Docker(t, r.Host, "").Run, filepath.Join(t.TempDir(), "image.tar")
		repo, ref := ref("docker")
		clients.Find(t, "skopeo").Run(t, "--insecure-policy", "copy", layout, "docker-archive:"+archive+":"+ref+":1")
		docker(t, "load", "--input", archive)
		pushed := digestOf(t, docker(t, "push", ref+":1"))
		r.Holds(t, repo, "1", pushed)
		docker(t, "rmi", ref+":1")
		docker(t, "pull", ref+"@"+pushed.String())
	})
	t.Run("Containerd", func(t *testing.T) {
		ctr, archive := ctr(t), filepath.Join(t.TempDir(), "image.tar")
		repo, ref := ref("containerd")
		clients.Find(t, "skopeo").Run(t, "--insecure-policy", "copy", "--preserve-digests", layout, "oci-archive:"+archive+":"+ref+":1")
		ctr("image", "import", "--snapshotter", "native", archive)
		if out := ctr("image", "ls", "-q"); !strings.Contains(out, ref+":1") {
			t.Fatalf("ctr image ls says %q, want %s:1", out, ref)
		}
		ctr("image", "push", "--plain-http", ref+":1")
		r.Holds(t, repo, "1", image.Digest)
		ctr("image", "rm", ref+":1")
		ctr("image", "pull", "--plain-http", "--snapshotter", "native", ref+":1")
	})
}
