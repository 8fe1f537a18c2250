package fsck

import (
	"strings"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// Class is what a key is of.
type Class string

// The classes of keys.
const (
	Records      Class = "records"
	Links        Class = "links"
	Manifests    Class = "manifests"
	Tags         Class = "tags"
	Referrers    Class = "referrers"
	Markers      Class = "markers"
	Fences       Class = "fences"
	Repositories Class = "repositories"
	Sessions     Class = "sessions"
	Quotas       Class = "quotas"
	Segments     Class = "segments" // of the data store
)

// The folders that are read to their ends. A store has no list of everything, so that a key in no folder of the format stays unseen.
const (
	folderRecords    = record.Key("b/")
	folderLinks      = record.Key("l/")
	folderRepository = record.Key("r/")
	folderSessions   = record.Key("u/")
)

// address is a key, taken apart: the fields that its class has.
type address struct {
	class  Class
	repo   oci.Repository
	digest oci.Digest // for Referrers the subject's
	tag    oci.Tag
	id     string
}

// parseKey takes a key apart. It reports false for a key that the format would not make.
func parseKey(key record.Key) (address, bool) {
	p := strings.Split(string(key), "/")
	switch {
	case p[0] == "b" && len(p) == 3:
		return digestAddress(key, address{class: Records}, p[2], func(a address) record.Key { return format.BlobKey(a.digest) })
	case p[0] == "l" && len(p) == 4:
		a := address{class: Links, repo: format.UnescapeRepository(p[3])}
		return digestAddress(key, a, p[2], func(a address) record.Key { return format.LinkKey(a.repo, a.digest) })
	case p[0] == "n" && len(p) == 2:
		a := address{class: Repositories, repo: format.UnescapeRepository(p[1])}
		return a, isRepository(a.repo) && format.RepositoryKey(a.repo) == key
	case p[0] == "u" && len(p) == 3:
		return address{class: Sessions, id: p[2]}, isID(data.ID(p[2])) && format.UploadKey(p[2]) == key
	case p[0] == "a" && len(p) >= 2:
		return parseAccessKey(key, p[1:])
	case key == format.KeyQuotaBase:
		return address{class: Quotas}, true
	case p[0] == "q" && len(p) == 3:
		return address{class: Quotas, id: p[2]}, isID(data.ID(p[2])) && format.QuotaLedgerKey(p[2]) == key
	case p[0] == "r" && len(p) >= 4:
		return parseRepositoryKey(key, format.UnescapeRepository(p[2]), p[3:])
	}
	return address{}, false
}

func parseRepositoryKey(key record.Key, repo oci.Repository, p []string) (address, bool) {
	a := address{repo: repo}
	switch {
	case p[0] == "f" && len(p) == 1:
		a.class = Fences
		return a, isRepository(repo) && format.FenceKey(repo) == key
	case p[0] == "m" && len(p) == 2:
		a.class = Manifests
		return digestAddress(key, a, p[1], func(a address) record.Key { return format.ManifestKey(a.repo, a.digest) })
	case p[0] == "s" && len(p) == 2:
		a.class = Referrers
		return digestAddress(key, a, p[1], func(a address) record.Key { return format.ReferrersKey(a.repo, a.digest) })
	case p[0] == "g" && len(p) == 3:
		a.class, a.tag = Markers, oci.Tag(p[2])
		if _, err := oci.ParseTag(p[2]); err != nil {
			return address{}, false
		}
		return digestAddress(key, a, p[1], func(a address) record.Key { return format.MarkerKey(a.repo, a.digest, a.tag) })
	case p[0] == "t" && len(p) == 2:
		a.class, a.tag = Tags, oci.Tag(p[1])
		_, err := oci.ParseTag(p[1])
		return a, err == nil && isRepository(repo) && format.TagKey(repo, a.tag) == key
	}
	return address{}, false
}

// digestAddress completes an address with a digest. build makes its key again, which must be the same, partition included.
func digestAddress(key record.Key, a address, part string, build func(address) record.Key) (address, bool) {
	d, err := format.PartDigest(part)
	if err != nil || a.class != Records && !isRepository(a.repo) {
		return address{}, false
	}
	a.digest = d
	return a, build(a) == key
}

func isRepository(r oci.Repository) bool {
	_, err := oci.ParseRepository(string(r))
	return err == nil
}

func isID(id data.ID) bool {
	return len(id) == 32 && strings.Trim(string(id), "0123456789abcdef") == ""
}

// segmentKey names a segment in a report.
func segmentKey(id data.ID) record.Key {
	if len(id) < 2 {
		return record.Key("d/" + id)
	}
	return record.Key("d/" + string(id[:2]) + "/" + string(id))
}
