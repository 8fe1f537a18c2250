package more

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"holdfast/test/clients"
)

func TestMain(m *testing.M) {
	if os.Getenv("HOLDFAST_TEST_CLIENTS") == "" {
		fmt.Println("these tests run by: make clients (HOLDFAST_TEST_CLIENTS=1)")
		return
	}
	os.Exit(m.Run())
}

func TestMoreClients(t *testing.T) {
	r := clients.Start(t)
	t.Run("Podman", func(t *testing.T) { testPodman(t, r) })
	t.Run("Buildah", func(t *testing.T) { testBuildah(t, r) })
	t.Run("Docker", func(t *testing.T) { testDocker(t, r) })
	t.Run("Containerd", func(t *testing.T) { testContainerd(t, r) })
	t.Run("Regctl", func(t *testing.T) { testRegctl(t, r) })
	t.Run("Helm", func(t *testing.T) { testHelm(t, r) })
	t.Run("BigLayer", func(t *testing.T) { testBigLayer(t, r) })
}

// push brings an image of its own into repo with crane, for clients that only pull it.
func push(t *testing.T, r clients.Registry, repo string) clients.Image {
	t.Helper()
	image := clients.NewImage(t, 2)
	clients.Find(t, "crane").Run(t, "push", "--insecure", image.Dir, r.Host+"/"+repo+":1")
	return image
}

// newPodman returns a function that runs podman, with a store of its own.
func newPodman(t *testing.T) func(args ...string) string {
	t.Helper()
	store := clients.Short(t)
	program := clients.Find(t, "podman")
	return func(args ...string) string {
		t.Helper()
		return program.Run(t, append([]string{"--root", store + "/root", "--runroot", store + "/run", "--storage-driver", "vfs", "--events-backend", "none"}, args...)...)
	}
}

func testPodman(t *testing.T, r clients.Registry) {
	podman := newPodman(t)
	repo := r.Repo("podman/app")
	image := push(t, r, repo)
	ref := r.Host + "/" + repo
	podman("pull", "--tls-verify=false", ref+":1")
	if got := podman("image", "inspect", "--format", "{{.Digest}}", ref+":1"); got != image.Digest.String() {
		t.Errorf("podman says that it pulled %s, want %s", got, image.Digest)
	}
	podman("tag", ref+":1", ref+":2")
	file := filepath.Join(t.TempDir(), "digest")
	podman("push", "--tls-verify=false", "--digestfile", file, ref+":2")
	r.Holds(t, repo, "2", digestIn(t, file))
	podman("rmi", "--all", "--force")
	podman("pull", "--tls-verify=false", ref+"@"+image.Digest.String())
	if out := podman("search", "--tls-verify=false", "--list-tags", ref); !regexp.MustCompile(`(?s)\s1\n.*\s2$`).MatchString(out) {
		t.Errorf("podman search --list-tags says %q, want tags 1 and 2", out)
	}
	podman("rmi", "--all", "--force")
}

func testBuildah(t *testing.T, r clients.Registry) {
	store := clients.Short(t)
	program := clients.Find(t, "buildah")
	buildah := func(args ...string) string {
		t.Helper()
		return program.Run(t, append([]string{"--root", store + "/root", "--runroot", store + "/run", "--storage-driver", "vfs"}, args...)...)
	}
	repo := r.Repo("buildah/app")
	ref := r.Host + "/" + repo
	if err := os.WriteFile(filepath.Join(program.Home, "Containerfile"), []byte("FROM scratch\nCOPY content /content\nLABEL a=b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(program.Home, "content"), []byte(strings.Repeat("content ", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	buildah("bud", "--isolation", "chroot", "-t", ref+":1", program.Home)
	file := filepath.Join(t.TempDir(), "digest")
	buildah("push", "--tls-verify=false", "--digestfile", file, ref+":1")
	r.Holds(t, repo, "1", digestIn(t, file))
	buildah("rmi", "--all", "--force")
	buildah("pull", "--tls-verify=false", ref+":1")
	buildah("rmi", "--all", "--force")
}

func testRegctl(t *testing.T, r clients.Registry) {
	program := clients.Find(t, "regctl", "REGCTL_CONFIG="+filepath.Join(t.TempDir(), "regctl.json"))
	regctl := program.Run
	regctl(t, "registry", "set", "--tls", "disabled", r.Host)
	repo := r.Repo("regctl/app")
	ref := r.Host + "/" + repo
	image := push(t, r, repo)
	regctl(t, "image", "copy", ref+":1", ref+":2")
	r.Holds(t, repo, "2", image.Digest)
	index := clients.NewIndex(t)
	regctl(t, "image", "copy", "ocidir://"+index.Dir+":"+index.Tag, ref+":3")
	r.Holds(t, repo, "3", index.Digest)
	if got := strings.Fields(regctl(t, "tag", "ls", ref)); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("regctl tag ls says %q", got)
	}
	file := filepath.Join(program.Home, "note")
	if err := os.WriteFile(file, []byte("a note"), 0o600); err != nil {
		t.Fatal(err)
	}
	regctl(t, "artifact", "put", "--artifact-type", "application/vnd.example.note", "--subject", ref+":1", "--file", file)
	if out := regctl(t, "artifact", "tree", ref+":1"); !strings.Contains(out, "application/vnd.example.note") {
		t.Errorf("regctl artifact tree does not show the note: %s", out)
	}
	dir := filepath.Join(t.TempDir(), "pulled")
	regctl(t, "image", "copy", ref+":3", "ocidir://"+dir+":3")
	clients.Pulled(t, dir, index.Digest)
	regctl(t, "tag", "rm", ref+":2")
	r.Gone(t, repo, "2")
	r.Holds(t, repo, "1", image.Digest)
	regctl(t, "manifest", "rm", ref+"@"+image.Digest.String())
	r.Gone(t, repo, "1")
}

func testHelm(t *testing.T, r clients.Registry) {
	program := clients.Find(t, "helm")
	helm := program.Run
	chart := filepath.Join(program.Home, "chart")
	for name, content := range map[string]string{
		"Chart.yaml":               "apiVersion: v2\nname: demo\nversion: 0.1.0\ndescription: a chart\ntype: application\n",
		"values.yaml":              "word: hello\n",
		"templates/configmap.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: demo\ndata:\n  word: {{ .Values.word | quote }}\n",
	} {
		file := filepath.Join(chart, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	helm(t, "package", chart, "--destination", program.Home)
	oci := "oci://" + r.Host + "/" + r.Repo("helm")
	helm(t, "push", "--plain-http", filepath.Join(program.Home, "demo-0.1.0.tgz"), oci)
	if out := helm(t, "show", "chart", "--plain-http", oci+"/demo", "--version", "0.1.0"); !strings.Contains(out, "name: demo") {
		t.Errorf("helm show chart says %s", out)
	}
	dir := t.TempDir()
	helm(t, "pull", "--plain-http", oci+"/demo", "--version", "0.1.0", "--destination", dir)
	pushed, err := os.ReadFile(filepath.Join(program.Home, "demo-0.1.0.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := os.ReadFile(filepath.Join(dir, "demo-0.1.0.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(pushed, pulled) {
		t.Error("the chart that was pulled is not the one that was pushed")
	}
	if out := helm(t, "template", "--plain-http", "demo", oci+"/demo", "--version", "0.1.0"); !strings.Contains(out, `word: "hello"`) {
		t.Errorf("helm template says %s", out)
	}
}
