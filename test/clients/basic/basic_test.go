package basic

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/test/clients"
)

func TestClients(t *testing.T) {
	r := clients.Start(t)
	t.Run("Crane", func(t *testing.T) { testCrane(t, r) })
	t.Run("Skopeo", func(t *testing.T) { testSkopeo(t, r) })
	t.Run("Oras", func(t *testing.T) { testOras(t, r) })
}

func testCrane(t *testing.T, r clients.Registry) {
	program := clients.Find(t, "crane")
	crane := program.Run
	image, index := clients.NewImage(t, 3), clients.NewIndex(t)
	ref := r.Host + "/" + r.Repo("crane/app")

	crane(t, "push", "--insecure", image.Dir, ref+":1")
	crane(t, "push", "--insecure", "--index", index.Dir, ref+":layout")
	r.Holds(t, r.Repo("crane/app"), "1", image.Digest)

	if got := crane(t, "digest", "--insecure", ref+":1"); got != image.Digest.String() {
		t.Errorf("crane digest says %s, want %s", got, image.Digest)
	}
	crane(t, "tag", "--insecure", ref+":1", "2")
	if got, want := strings.Fields(crane(t, "ls", "--insecure", ref)), []string{"1", "2", "layout"}; !slices.Equal(got, want) {
		t.Errorf("crane ls says %q, want %q", got, want)
	}
	if got := strings.Fields(crane(t, "catalog", "--insecure", r.Host)); !slices.Contains(got, r.Repo("crane/app")) {
		t.Errorf("crane catalog says %q, want crane/app among them", got)
	}

	// A copy within the registry mounts its layers.
	crane(t, "copy", "--insecure", ref+":1", r.Host+"/"+r.Repo("crane/copy")+":1")
	r.Holds(t, r.Repo("crane/copy"), "1", image.Digest)

	dir := filepath.Join(t.TempDir(), "pulled")
	crane(t, "pull", "--insecure", "--format", "oci", r.Host+"/"+r.Repo("crane/copy")+"@"+image.Digest.String(), dir)
	clients.Pulled(t, dir, image.Digest)
	crane(t, "validate", "--insecure", "--remote", ref+":1")

	crane(t, "delete", "--insecure", ref+"@"+image.Digest.String())
	r.Gone(t, r.Repo("crane/app"), image.Digest.String())
	r.Gone(t, r.Repo("crane/app"), "1")
	r.Holds(t, r.Repo("crane/copy"), "1", image.Digest)
	if _, err := program.Try(t, "manifest", "--insecure", ref+":1"); err == nil || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
		t.Errorf("crane manifest of what is deleted: %v, want MANIFEST_UNKNOWN", err)
	}
}

func testSkopeo(t *testing.T, r clients.Registry) {
	program := clients.Find(t, "skopeo")
	skopeo := program.Run
	image, index := clients.NewImage(t, 3), clients.NewIndex(t)
	ref := "docker://" + r.Host + "/" + r.Repo("skopeo/app")
	copyTo := func(from, to string, more ...string) {
		t.Helper()
		args := append([]string{"--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"}, more...)
		skopeo(t, append(args, from, to)...)
	}
	copyTo("oci:"+image.Dir+":"+image.Tag, ref+":1")
	r.Holds(t, r.Repo("skopeo/app"), "1", image.Digest)
	copyTo("oci:"+index.Dir+":"+index.Tag, ref+":2", "--all")
	r.Holds(t, r.Repo("skopeo/app"), "2", index.Digest)

	var seen struct {
		Digest   digest.Digest
		RepoTags []string
	}
	if err := json.Unmarshal([]byte(skopeo(t, "inspect", "--tls-verify=false", ref+":1")), &seen); err != nil {
		t.Fatal(err)
	}
	if seen.Digest != image.Digest || !slices.Equal(seen.RepoTags, []string{"1", "2"}) {
		t.Errorf("skopeo inspect says %+v, want %s and tags 1 and 2", seen, image.Digest)
	}
	var list struct{ Tags []string }
	if err := json.Unmarshal([]byte(skopeo(t, "list-tags", "--tls-verify=false", ref)), &list); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(list.Tags, []string{"1", "2"}) {
		t.Errorf("skopeo list-tags says %q", list.Tags)
	}

	copyTo(ref+":2", "docker://"+r.Host+"/"+r.Repo("skopeo/copy")+":2", "--all")
	r.Holds(t, r.Repo("skopeo/copy"), "2", index.Digest)
	dir := t.TempDir()
	copyTo("docker://"+r.Host+"/"+r.Repo("skopeo/copy")+":2", "oci:"+dir+":2", "--all")
	clients.Pulled(t, dir, index.Digest)

	// Docker's schema 2 on its way in, and out as it was.
	copyTo("oci:"+image.Dir+":"+image.Tag, ref+":docker", "--format", "v2s2")
	if out := skopeo(t, "inspect", "--raw", "--tls-verify=false", ref+":docker"); !strings.Contains(out, "vnd.docker.distribution.manifest.v2+json") {
		t.Errorf("a Docker image came back as %s", out)
	}

	skopeo(t, "delete", "--tls-verify=false", ref+":1")
	r.Gone(t, r.Repo("skopeo/app"), "1")
	if _, err := program.Try(t, "inspect", "--tls-verify=false", ref+":1"); err == nil {
		t.Error("skopeo inspect finds what it has deleted")
	}
}

func testOras(t *testing.T, r clients.Registry) {
	program := clients.Find(t, "oras")
	oras := program.Run
	ref := r.Host + "/" + r.Repo("oras/app")
	for name, content := range map[string]string{"artifact.txt": "an artifact", "signature.txt": "a signature"} {
		if err := os.WriteFile(filepath.Join(program.Home, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	digestOf := func(tag string) digest.Digest {
		t.Helper()
		var d struct{ Digest digest.Digest }
		if err := json.Unmarshal([]byte(oras(t, "manifest", "fetch", "--plain-http", "--descriptor", ref+":"+tag)), &d); err != nil {
			t.Fatal(err)
		}
		return d.Digest
	}
	oras(t, "push", "--plain-http", "--artifact-type", "application/vnd.example", ref+":1", "artifact.txt:text/plain")
	subject := digestOf("1")
	r.Holds(t, r.Repo("oras/app"), "1", subject)
	oras(t, "attach", "--plain-http", "--artifact-type", "application/vnd.example.signature", ref+":1", "signature.txt:text/plain")
	if out := oras(t, "discover", "--plain-http", "--format", "json", ref+":1"); !strings.Contains(out, "application/vnd.example.signature") {
		t.Errorf("oras discover does not find what was attached: %s", out)
	}
	if got := strings.Fields(oras(t, "repo", "tags", "--plain-http", ref)); !slices.Equal(got, []string{"1"}) {
		t.Errorf("oras repo tags says %q, want 1 alone", got)
	}
	if got := strings.Fields(oras(t, "repo", "ls", "--plain-http", r.Host)); !slices.Contains(got, r.Repo("oras/app")) {
		t.Errorf("oras repo ls says %q, want oras/app among them", got)
	}

	// A copy takes the referrers along.
	oras(t, "cp", "-r", "--from-plain-http", "--to-plain-http", ref+":1", r.Host+"/"+r.Repo("oras/copy")+":1")
	r.Holds(t, r.Repo("oras/copy"), "1", subject)
	if out := oras(t, "discover", "--plain-http", "--format", "json", r.Host+"/"+r.Repo("oras/copy")+":1"); !strings.Contains(out, "application/vnd.example.signature") {
		t.Errorf("oras cp -r has left the referrer behind: %s", out)
	}

	dir := t.TempDir()
	oras(t, "pull", "--plain-http", "-o", dir, ref+":1")
	got, err := os.ReadFile(filepath.Join(dir, "artifact.txt"))
	if err != nil || string(got) != "an artifact" {
		t.Errorf("oras pull gives %q, %v", got, err)
	}

	oras(t, "manifest", "delete", "--plain-http", "--force", ref+"@"+subject.String())
	r.Gone(t, r.Repo("oras/app"), "1")
	r.Gone(t, r.Repo("oras/app"), subject.String())
	r.Holds(t, r.Repo("oras/copy"), "1", subject)
}
