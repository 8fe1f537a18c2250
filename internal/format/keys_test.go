package format_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// TestKeys: every key is what docs/storage-format.md says, put together as plainly as can be.
func TestKeys(t *testing.T) {
	for _, repo := range []oci.Repository{"a", "a/b", "a-b.c/d__e--f", oci.Repository(strings.Repeat("x-/", 84) + "yyy")} {
		for _, d := range []oci.Digest{digest.FromString("1"), digest.SHA512.FromString("2")} {
			part, h2, escaped := strings.Replace(string(d), ":", "-", 1), d.Encoded()[:2], format.EscapeRepository(repo)
			sum := sha256.Sum256([]byte(repo))
			below := hex.EncodeToString(sum[:1]) + "/" + escaped + "/"
			tag := oci.Tag(strings.Repeat("T", 128))
			for want, got := range map[string]record.Key{
				"b/" + h2 + "/" + part: format.BlobKey(d), "l/" + h2 + "/" + part + "/": format.LinkPrefix(d), "l/" + h2 + "/" + part + "/" + escaped: format.LinkKey(repo, d),
				"r/" + below: format.RepositoryPrefix(repo), "r/" + below + "m/": format.ManifestPrefix(repo), "r/" + below + "m/" + part: format.ManifestKey(repo, d),
				"r/" + below + "t/": format.TagPrefix(repo), "r/" + below + "t/" + string(tag): format.TagKey(repo, tag), "r/" + below + "s/" + part: format.ReferrersKey(repo, d),
				"r/" + below + "g/": format.MarkersPrefix(repo), "r/" + below + "g/" + part + "/": format.MarkerPrefix(repo, d),
				"r/" + below + "g/" + part + "/" + string(tag): format.MarkerKey(repo, d, tag), "r/" + below + "f": format.FenceKey(repo), "n/" + escaped: format.RepositoryKey(repo),
				"p/" + below: format.PulledPrefix(repo), "p/" + below + part: format.PulledKey(repo, d), "p/" + below + "since": format.PulledSinceKey(repo),
			} {
				if string(got) != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
		}
	}
	d := digest.FromString("1")
	for name, key := range map[string]func(){
		"link": func() { format.LinkKey("team/app", d) }, "tag": func() { format.TagKey("team/app", "v1") }, "manifest": func() { format.ManifestKey("team/app", d) },
	} {
		if n := testing.AllocsPerRun(100, key); n > 1 {
			t.Errorf("the key of a %s costs %v allocations", name, n)
		}
	}
}
