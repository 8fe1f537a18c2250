package format

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// Keys of the storage format. h2 is the first byte, in hex, of the digest, the id or the hash of the
// repository: it spreads keys over a store's partitions.
const (
	KeyFormat = record.Key("cfg/format")
	KeySecret = record.Key("cfg/secret")

	PrefixBlobs        = record.Key("b/")
	PrefixLinks        = record.Key("l/")
	PrefixContents     = record.Key("r/") // of repositories
	PrefixRepositories = record.Key("n/")
	PrefixUploads      = record.Key("u/")
	PrefixHints        = record.Key("h/")

	PrefixQuotas       = record.Key("q/")
	KeyQuotaBase       = record.Key("q/base") // what was counted last
	PrefixQuotaLedgers = record.Key("q/r/")   // what replicas added and took since
)

// pathEscape and pathUnescape map a repository name to one path part and back, byte for byte, so that
// length and byte order stay.
var (
	pathEscape   = strings.NewReplacer("-", "!", ".", "-", "/", ".")
	pathUnescape = strings.NewReplacer("!", "-", "-", ".", ".", "/")
)

// EscapeRepository returns a repository's name as one part of a key.
func EscapeRepository(r oci.Repository) string { return pathEscape.Replace(string(r)) }

// UnescapeRepository is its inverse.
func UnescapeRepository(part string) oci.Repository {
	return oci.Repository(pathUnescape.Replace(part))
}

// DigestPart returns a digest as one part of a key.
func DigestPart(d oci.Digest) string { return string(d.Algorithm()) + "-" + d.Encoded() }

// PartDigest is its inverse. Errors: for a part that is no digest's.
func PartDigest(part string) (oci.Digest, error) {
	d, err := oci.ParseDigest(strings.Replace(part, "-", ":", 1))
	if err != nil {
		return "", fmt.Errorf("format: %q is not the part of a key that a digest is: %s", oci.Clip(part), err.Error()) // not a client's error
	}
	return d, nil
}

// builder puts a key together without a string for each of its parts.
type builder []byte

// maxKey is more than most keys have.
const maxKey = 256

func newKey(prefix string) builder { return append(make(builder, 0, maxKey), prefix...) }

func (b builder) key() record.Key { return record.Key(b) }

func (b builder) add(s string) builder { return append(b, s...) }

// digest adds DigestPart(d).
func (b builder) digest(d oci.Digest) builder {
	alg, hex, _ := strings.Cut(string(d), ":")
	return b.add(alg).add("-").add(hex)
}

// spread adds h2 of a digest, and the digest.
func (b builder) spread(d oci.Digest) builder {
	return b.add(d.Encoded()[:2]).add("/").digest(d)
}

// escaped adds EscapeRepository(r).
func (b builder) escaped(r oci.Repository) builder {
	from := len(b)
	b = b.add(string(r))
	for i, c := range b[from:] {
		switch c {
		case '-':
			b[from+i] = '!'
		case '.':
			b[from+i] = '-'
		case '/':
			b[from+i] = '.'
		}
	}
	return b
}

// repository adds h2 of a repository, and the repository as a folder.
func (b builder) repository(r oci.Repository) builder {
	const hex = "0123456789abcdef"
	sum := sha256.Sum256([]byte(r))
	return append(b, hex[sum[0]>>4], hex[sum[0]&15], '/').escaped(r).add("/")
}

// BlobKey is the key of a blob record.
func BlobKey(d oci.Digest) record.Key { return newKey("b/").spread(d).key() }

// LinkPrefix is the folder of all links of a digest; LinkKey one of them.
func LinkPrefix(d oci.Digest) record.Key { return newKey("l/").spread(d).add("/").key() }

// LinkKey is the key of the link that says that a repository has a blob.
func LinkKey(r oci.Repository, d oci.Digest) record.Key {
	return newKey("l/").spread(d).add("/").escaped(r).key()
}

// RepositoryPrefix is the folder of what a repository has of its own.
func RepositoryPrefix(r oci.Repository) record.Key { return newKey("r/").repository(r).key() }

// ManifestPrefix is the folder of a repository's manifests.
func ManifestPrefix(r oci.Repository) record.Key { return newKey("r/").repository(r).add("m/").key() }

// ManifestKey is the key of a manifest.
func ManifestKey(r oci.Repository, d oci.Digest) record.Key {
	return newKey("r/").repository(r).add("m/").digest(d).key()
}

// TagPrefix is the folder of a repository's tags.
func TagPrefix(r oci.Repository) record.Key { return newKey("r/").repository(r).add("t/").key() }

// TagKey is the key of a tag.
func TagKey(r oci.Repository, t oci.Tag) record.Key {
	return newKey("r/").repository(r).add("t/").add(string(t)).key()
}

// ReferrersKey is the key of the list of what refers to a subject.
func ReferrersKey(r oci.Repository, subject oci.Digest) record.Key {
	return newKey("r/").repository(r).add("s/").digest(subject).key()
}

// MarkersPrefix is the folder of the markers of a repository; MarkerPrefix of those of a manifest: the tags that it ever had.
func MarkersPrefix(r oci.Repository) record.Key { return newKey("r/").repository(r).add("g/").key() }

// MarkerPrefix is a folder of MarkersPrefix.
func MarkerPrefix(r oci.Repository, d oci.Digest) record.Key {
	return newKey("r/").repository(r).add("g/").digest(d).add("/").key()
}

// MarkerKey is the key of a marker.
func MarkerKey(r oci.Repository, d oci.Digest, t oci.Tag) record.Key {
	return newKey("r/").repository(r).add("g/").digest(d).add("/").add(string(t)).key()
}

// FenceKey is the key of a repository's fence.
func FenceKey(r oci.Repository) record.Key { return newKey("r/").repository(r).add("f").key() }

// RepositoryKey is the key of a repository's marker, of which the catalog is a list.
func RepositoryKey(r oci.Repository) record.Key {
	return newKey(string(PrefixRepositories)).escaped(r).key()
}

// LeaseKey is the key of a lease. Its name is one part of a key.
func LeaseKey(name string) record.Key { return record.Key("cfg/lease/" + name) }

// ClockKey is the key of a record that is written for the time that the store gives it. Its name is one part of a key.
func ClockKey(name string) record.Key { return record.Key("cfg/clock/" + name) }

// PrefixReplicas is the folder of the heartbeats; ReplicaKey the key of one. Its id is one part of a key.
const PrefixReplicas = record.Key("cfg/replica/")

// ReplicaKey is a key of PrefixReplicas.
func ReplicaKey(id string) record.Key { return PrefixReplicas + record.Key(id) }

// PulledPrefix is the folder of the pull times of a repository's manifests.
func PulledPrefix(r oci.Repository) record.Key { return newKey("p/").repository(r).key() }

// PulledKey is the key of a manifest's pull time.
func PulledKey(r oci.Repository, d oci.Digest) record.Key {
	return PulledPrefix(r) + record.Key(DigestPart(d))
}

// PulledSinceKey is the key of the time since when a repository's pulls are noted.
func PulledSinceKey(r oci.Repository) record.Key { return PulledPrefix(r) + "since" }

// UploadKey is the key of an upload session.
func UploadKey(id string) record.Key { return record.Key("u/" + id[:2] + "/" + id) }

// HintKey is the key of a hint for the collector, and PrefixHints the folder of all.
func HintKey(id string) record.Key { return PrefixHints + record.Key(id) }

// QuotaLedgerKey is the key of a replica's ledger. Its id is one part of a key.
func QuotaLedgerKey(id string) record.Key { return PrefixQuotaLedgers + record.Key(id) }
