package fsck

import (
	"fmt"
	"slices"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// problem is something wrong with a value by itself.
type problem struct {
	kind   Kind
	detail string
}

// legal are the states that a class of values may have. "" is the state of those that have none.
func legal(class Class) []format.State {
	switch class {
	case Records:
		return []format.State{format.Live, format.Condemned, format.Doomed, format.Dead, format.Corrupt}
	case Links:
		return []format.State{format.Pending, format.Live, format.Condemned, format.Dead, format.Corrupt}
	case Manifests, Repositories:
		return []format.State{format.Live, format.Condemned, format.Dead}
	case Tags, APIKeys, Quotas:
		return []format.State{format.Live, format.Dead}
	case Revocations, APIKeyMarkers:
		return []format.State{format.Live}
	case Markers:
		return []format.State{"", format.Live, format.Condemned}
	case Referrers:
		return []format.State{"", format.Dead}
	case Sessions:
		return []format.State{format.Open, format.Done, format.Aborted}
	}
	return []format.State{""}
}

// own says what is wrong with a value by itself, whatever else there is in the store.
func (i *item[H]) own(a address) []problem {
	if !i.exists {
		return nil
	}
	if i.bad != nil {
		return []problem{{Undecodable, i.bad.Error()}}
	}
	var all []problem
	if !slices.Contains(legal(a.class), i.meta.State) {
		all = append(all, problem{IllegalState, fmt.Sprintf("the state is %q", i.meta.State)})
	}
	if dead := i.meta.State == format.Dead; dead != (i.length == format.DeadSize) || !dead && i.length < format.MinLiveSize {
		all = append(all, problem{IllegalSize, fmt.Sprintf("%d bytes in the state %q", i.length, i.meta.State)})
	}
	if i.meta.Nonce == "" {
		all = append(all, problem{IllegalField, "there is no nonce"})
	}
	if i.state == format.Absent {
		return append(all, problem{VoidValue, fmt.Sprintf("sent at %s, there since %s", i.meta.T, i.Modified)})
	}
	switch head := any(&i.Head).(type) {
	case *format.Blob:
		return append(all, ownRecord(i.state, head)...)
	case *format.Link:
		if i.Present() {
			all = append(all, segmentFields(head.Size, head.Segments)...)
		}
	case *format.Manifest:
		if i.Present() {
			all = append(all, ownManifest(head, i.content)...)
		}
	case *format.Tag:
		if i.Present() {
			all = append(all, ownTag(head, i.content)...)
		}
	case *format.Referrers:
		if i.length > format.MaxReferrersBytes {
			all = append(all, problem{IllegalField, fmt.Sprintf("%d bytes", i.length)})
		}
	case *format.Upload:
		all = append(all, ownSession(i.state, head)...)
	case *format.Revocation:
		all = append(all, ownRevocation(a, head)...)
	case *format.APIKey:
		if i.Present() {
			all = append(all, ownAPIKey(head)...)
		}
	}
	return all
}

func ownRecord(state format.State, head *format.Blob) []problem {
	if state != format.Live && state != format.Condemned {
		return nil
	}
	all := segmentFields(head.Size, head.Segments)
	if sum := sumOf(head.Segments); sum != head.Size {
		all = append(all, problem{RecordSizeWrong, fmt.Sprintf("the blob has %d bytes, its segments have %d", head.Size, sum)})
	}
	return all
}

func segmentFields(size int64, segments []format.Segment) []problem {
	var all []problem
	if size < 0 {
		all = append(all, problem{IllegalField, fmt.Sprintf("the size is %d", size)})
	}
	for _, s := range segments {
		if !isID(s.ID) || s.Size <= 0 {
			all = append(all, problem{IllegalField, fmt.Sprintf("a segment %q of %d bytes", oci.Clip(string(s.ID)), s.Size)})
		}
	}
	return all
}

func sumOf(segments []format.Segment) (sum int64) {
	for _, s := range segments {
		sum += s.Size
	}
	return sum
}

func ownManifest(head *format.Manifest, c content) []problem {
	switch {
	case !c.matches:
		return []problem{{ManifestDigestWrong, fmt.Sprintf("its %d bytes have another digest", c.size)}}
	case c.err != nil:
		return []problem{{ManifestUnreadable, c.err.Error()}}
	case head.Generation == "":
		return []problem{{IllegalField, "there is no generation"}}
	case head.MediaType != c.manifest.MediaType:
		return []problem{{IllegalField, fmt.Sprintf("the media type is %q, the manifest's is %q", head.MediaType, c.manifest.MediaType)}}
	}
	return nil
}

func ownTag(head *format.Tag, c content) []problem {
	var all []problem
	inline := head.Size <= format.InlineBytes
	switch _, err := oci.ParseDigest(string(head.Digest)); {
	case err != nil:
		all = append(all, problem{IllegalField, fmt.Sprintf("it names %q, which is no digest", oci.Clip(string(head.Digest)))})
	case inline && (!c.matches || c.size != head.Size), !inline && c.size != 0:
		all = append(all, problem{TagBodyWrong, fmt.Sprintf("it carries %d bytes of a manifest of %d, its digest's: %t", c.size, head.Size, c.matches)})
	}
	if len(head.Previous) > format.KeptPrevious {
		all = append(all, problem{IllegalField, fmt.Sprintf("it remembers %d values", len(head.Previous))})
	}
	for _, p := range head.Previous {
		if _, err := oci.ParseDigest(string(p.Digest)); err != nil {
			all = append(all, problem{IllegalField, fmt.Sprintf("it remembers %q, which is no digest", oci.Clip(string(p.Digest)))})
		}
	}
	return all
}

// hashVersion is the form of a saved hash state that this version reads.
const hashVersion = 1

func ownSession(state format.State, head *format.Upload) []problem {
	all := segmentFields(head.Offset, head.Segments)
	if !isRepository(head.Repository) {
		all = append(all, problem{IllegalField, fmt.Sprintf("it is of the repository %q", oci.Clip(string(head.Repository)))})
	}
	if _, err := oci.ParseAlgorithm(head.Algorithm); err != nil {
		all = append(all, problem{IllegalField, fmt.Sprintf("its algorithm is %q", oci.Clip(head.Algorithm))})
	}
	if _, err := oci.ParseDigest(string(head.Digest)); err != nil && state == format.Done {
		all = append(all, problem{IllegalField, fmt.Sprintf("it is done, and %q is no digest", oci.Clip(string(head.Digest)))})
	}
	if state == format.Open && head.Offset > 0 && (head.HashVersion != hashVersion || len(head.Hash) == 0) {
		all = append(all, problem{IllegalField, fmt.Sprintf("its hash state has the version %d and %d bytes", head.HashVersion, len(head.Hash))})
	}
	if sum := sumOf(head.Segments); sum != head.Offset {
		all = append(all, problem{SessionOffsetWrong, fmt.Sprintf("its offset is %d, its segments have %d bytes", head.Offset, sum)})
	}
	return all
}
