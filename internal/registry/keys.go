package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// Keys of the storage format. h2 is the first byte, in hex, of the digest, the id or the hash of the
// repository: it spreads keys over a store's partitions.
const (
	keyFormat = record.Key("cfg/format")
	keySecret = record.Key("cfg/secret")

	prefixRepositories = record.Key("n/")
)

// pathEscape and pathUnescape map a repository name to one path part and back, byte for byte, so that
// length and byte order stay.
var (
	pathEscape   = strings.NewReplacer("-", "!", ".", "-", "/", ".")
	pathUnescape = strings.NewReplacer("!", "-", "-", ".", ".", "/")
)

func escapeRepository(r oci.Repository) string { return pathEscape.Replace(string(r)) }

func unescapeRepository(part string) oci.Repository {
	return oci.Repository(pathUnescape.Replace(part))
}

func digestPart(d oci.Digest) string { return string(d.Algorithm()) + "-" + d.Encoded() }

func partDigest(part string) (oci.Digest, error) {
	d, err := oci.ParseDigest(strings.Replace(part, "-", ":", 1))
	if err != nil {
		return "", fmt.Errorf("registry: %q is not the part of a key that a digest is: %s", oci.Clip(part), err.Error()) // not a client's error
	}
	return d, nil
}

func digestPath(d oci.Digest) string { return d.Encoded()[:2] + "/" + digestPart(d) }

func blobKey(d oci.Digest) record.Key { return record.Key("b/" + digestPath(d)) }

func linkPrefix(d oci.Digest) record.Key { return record.Key("l/" + digestPath(d) + "/") }

func linkKey(r oci.Repository, d oci.Digest) record.Key {
	return linkPrefix(d) + record.Key(escapeRepository(r))
}

func repositoryPrefix(r oci.Repository) record.Key {
	sum := sha256.Sum256([]byte(r))
	return record.Key("r/" + hex.EncodeToString(sum[:1]) + "/" + escapeRepository(r) + "/")
}

func manifestPrefix(r oci.Repository) record.Key { return repositoryPrefix(r) + "m/" }

func manifestKey(r oci.Repository, d oci.Digest) record.Key {
	return manifestPrefix(r) + record.Key(digestPart(d))
}

func tagPrefix(r oci.Repository) record.Key { return repositoryPrefix(r) + "t/" }

func tagKey(r oci.Repository, t oci.Tag) record.Key { return tagPrefix(r) + record.Key(t) }

func referrersKey(r oci.Repository, subject oci.Digest) record.Key {
	return repositoryPrefix(r) + "s/" + record.Key(digestPart(subject))
}

func markerPrefix(r oci.Repository, d oci.Digest) record.Key {
	return repositoryPrefix(r) + "g/" + record.Key(digestPart(d)) + "/"
}

func markerKey(r oci.Repository, d oci.Digest, t oci.Tag) record.Key {
	return markerPrefix(r, d) + record.Key(t)
}

func fenceKey(r oci.Repository) record.Key { return repositoryPrefix(r) + "f" }

func repositoryKey(r oci.Repository) record.Key {
	return prefixRepositories + record.Key(escapeRepository(r))
}

func uploadKey(id string) record.Key { return record.Key("u/" + id[:2] + "/" + id) }
