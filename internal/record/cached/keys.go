package cached

import (
	"strings"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// linkRepository returns the repository of a link's key.
func linkRepository(key record.Key) (oci.Repository, bool) {
	parts := strings.Split(string(key), "/")
	if len(parts) != 4 || parts[0] != "l" {
		return "", false
	}
	return format.UnescapeRepository(parts[3]), true
}

// fenceRepository returns the repository of a fence's key.
func fenceRepository(key record.Key) (oci.Repository, bool) {
	if !strings.HasPrefix(string(key), string(format.PrefixContents)) || !strings.HasSuffix(string(key), "/f") {
		return "", false
	}
	parts := strings.Split(string(key), "/")
	if len(parts) != 4 {
		return "", false
	}
	return format.UnescapeRepository(parts[2]), true
}
