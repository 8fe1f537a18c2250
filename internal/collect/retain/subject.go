package retain

import (
	"strings"

	"holdfast/internal/oci"
)

// Subject returns the digest that a tag names: cosign's sha256-<hex>.sig, .att and .sbom, and the tags sha256-<hex> by which clients find
// referrers at registries without that API. Such a tag belongs to the manifest of that digest and is no image of its own.
func Subject(tag oci.Tag) (oci.Digest, bool) {
	name, _, _ := strings.Cut(string(tag), ".")
	if !strings.HasPrefix(name, "sha") { // most tags: no error is made for them
		return "", false
	}
	d, err := oci.ParseDigest(strings.Replace(name, "-", ":", 1))
	return d, err == nil
}
