package fsck

// Severity says how bad a finding is.
type Severity string

// The severities, worst first. A report without findings has none: "".
const (
	Lost  Severity = "lost"  // an image, or an answer of the registry, cannot be served
	Wrong Severity = "wrong" // an invariant is broken; nothing is lost yet
	Waste Severity = "waste" // it takes space, or is a leftover that readers do not mind
)

// rank orders severities: more is worse.
func (s Severity) rank() int {
	switch s {
	case Lost:
		return 3
	case Wrong:
		return 2
	case Waste:
		return 1
	}
	return 0
}

// Kind names what is wrong. Kinds are stable: scripts may go by them.
type Kind string

// The kinds of findings, by what they are about.
const (
	UnknownKey   Kind = "unknown-key"
	Undecodable  Kind = "undecodable"
	IllegalState Kind = "illegal-state"
	IllegalSize  Kind = "illegal-size"
	IllegalField Kind = "illegal-field"
	VoidValue    Kind = "void-value"
	LeftOver     Kind = "left-over"
	SecretBroken Kind = "secret-broken"

	RecordSegmentMissing Kind = "record-segment-missing"
	RecordSizeWrong      Kind = "record-size-wrong"
	SegmentShared        Kind = "segment-shared"
	SegmentUnnamed       Kind = "segment-unnamed"

	LinkRecordMissing Kind = "link-record-missing"
	LinkRecordCorrupt Kind = "link-record-corrupt"
	LinkSizeWrong     Kind = "link-size-wrong"
	LinkOutdated      Kind = "link-outdated"

	ManifestDigestWrong  Kind = "manifest-digest-wrong"
	ManifestUnreadable   Kind = "manifest-unreadable"
	ManifestBlobMissing  Kind = "manifest-blob-missing"
	ManifestChildMissing Kind = "manifest-child-missing"
	ManifestChildDeleted Kind = "manifest-child-deleted"
	ManifestRefused      Kind = "manifest-refused"
	ReferenceSizeWrong   Kind = "reference-size-wrong"

	TagBodyWrong       Kind = "tag-body-wrong"
	TagManifestMissing Kind = "tag-manifest-missing"
	TagManifestDeleted Kind = "tag-manifest-deleted"
	TagDiffers         Kind = "tag-differs"
	TagMarkerMissing   Kind = "tag-marker-missing"

	ReferrerMissing Kind = "referrer-missing"
	ReferrerStale   Kind = "referrer-stale"
	ReferrerDiffers Kind = "referrer-differs"
	ReferrerTwice   Kind = "referrer-twice"

	RepositoryUnmarked Kind = "repository-unmarked"
	FenceBehind        Kind = "fence-behind"

	SessionSegmentMissing Kind = "session-segment-missing"
	SessionOffsetWrong    Kind = "session-offset-wrong"

	APIKeyUnlisted Kind = "api-key-unlisted"
)

// meaning is what a kind of finding always says.
type meaning struct {
	severity Severity
	do       string // one plain sentence
}

// meaningOf is the table of all kinds. "Mend it" is a run with Config.Repair.
func meaningOf(k Kind) meaning {
	switch k {
	case UnknownKey:
		return meaning{Wrong, "Find out who wrote this key: no version of Holdfast does, and lists that meet it may fail; remove it when nobody needs it."}
	case Undecodable:
		return meaning{Lost, "Restore this object from a backup or an older version of it; without one remove it, and push again what it held."}
	case IllegalState:
		return meaning{Wrong, "Keep this value and report it as a bug: no version of Holdfast writes this state here."}
	case IllegalSize:
		return meaning{Wrong, "Mend it: lists tell dead values by their size, and take this one for what it is not."}
	case IllegalField:
		return meaning{Wrong, "Keep this value and report it as a bug; pushing again what it belongs to replaces it."}
	case VoidValue:
		return meaning{Waste, "Do nothing: this create came too late and counts for nothing; the next write of the key replaces it."}
	case LeftOver:
		return meaning{Waste, "Let the collector run: this was begun long ago and never ended."}
	case SecretBroken:
		return meaning{Lost, "Restore cfg/secret, or delete it and restart every replica (uploads in progress are lost): no replica starts with this one."}

	case RecordSegmentMissing:
		return meaning{Lost, "Mend it, then push the blob again to each repository that has it: its bytes are gone or incomplete."}
	case RecordSizeWrong:
		return meaning{Lost, "Mend it, then push the blob again to each repository that has it: its segments do not add up to its size."}
	case SegmentShared:
		return meaning{Wrong, "Copy both blobs out before either is deleted, and report it as a bug: collecting one takes the other's bytes."}
	case SegmentUnnamed:
		return meaning{Waste, "Let the collector run: nothing names these bytes."}

	case LinkRecordMissing:
		return meaning{Lost, "Mend it, then push the blob again to this repository: there is no blob record behind this link."}
	case LinkRecordCorrupt:
		return meaning{Lost, "Mend it, then push the blob again to this repository: its bytes are known to be damaged, and this link still shows them."}
	case LinkSizeWrong:
		return meaning{Wrong, "Mend it: the link says another size than the blob has."}
	case LinkOutdated:
		return meaning{Waste, "Mend it, when reads of this blob are to cost a request less: the bytes were moved to other segments since the link was written."}

	case ManifestDigestWrong:
		return meaning{Lost, "Push this manifest again: its stored bytes are damaged."}
	case ManifestUnreadable:
		return meaning{Lost, "Report it as a bug, and push this manifest again: its stored bytes are its digest's and are no manifest."}
	case ManifestBlobMissing:
		return meaning{Lost, "Push this blob again to the repository: the image that refers to it cannot be pulled."}
	case ManifestChildMissing:
		return meaning{Lost, "Push this child again to the repository: the index that names it cannot be pulled whole."}
	case ManifestChildDeleted:
		return meaning{Waste, "Push this child again if its delete was not meant: somebody deleted it from under its index."}
	case ManifestRefused:
		return meaning{Waste, "Let the collector run: this manifest lacks something, no tag leads to it, and most likely no client was told that it exists."}
	case ReferenceSizeWrong:
		return meaning{Wrong, "Push the manifest again with the right size: clients refuse what it refers to."}

	case TagBodyWrong:
		return meaning{Lost, "Push this tag again: the manifest that it carries is damaged."}
	case TagManifestMissing:
		return meaning{Lost, "Push this tag again, or delete it: its manifest is not there."}
	case TagManifestDeleted:
		return meaning{Waste, "Delete this tag's digest once more, or push or delete the tag: the delete of its manifest was cut short."}
	case TagDiffers:
		return meaning{Wrong, "Push this tag again: it says something else of its manifest than the manifest itself."}
	case TagMarkerMissing:
		return meaning{Wrong, "Mend it: a delete of the manifest would not find this tag."}

	case ReferrerMissing:
		return meaning{Wrong, "Mend it: this manifest is not listed among its subject's referrers."}
	case ReferrerStale:
		return meaning{Wrong, "Mend it: a referrer is listed that is not there."}
	case ReferrerDiffers:
		return meaning{Wrong, "Mend it: a referrer is listed with another descriptor than it has."}
	case ReferrerTwice:
		return meaning{Wrong, "Mend it: a referrer is listed more than once."}

	case RepositoryUnmarked:
		return meaning{Wrong, "Mend it: the catalog does not show this repository."}

	case FenceBehind:
		return meaning{Wrong, "Mend it: the fence was set back, so that an index may trust what was removed from under its children."}

	case SessionSegmentMissing:
		return meaning{Wrong, "Cancel this upload: it cannot be finished, and its client must begin anew."}
	case SessionOffsetWrong:
		return meaning{Wrong, "Cancel this upload and report it as a bug: its segments do not add up to its offset."}

	case APIKeyUnlisted:
		return meaning{Wrong, "Mend it: a user has an API key that he cannot see, and so not delete."}
	}
	return meaning{Wrong, "Report it as a bug."}
}

// Kinds are all kinds, in the order of the table.
func Kinds() []Kind {
	return []Kind{
		UnknownKey, Undecodable, IllegalState, IllegalSize, IllegalField, VoidValue, LeftOver, SecretBroken,
		RecordSegmentMissing, RecordSizeWrong, SegmentShared, SegmentUnnamed,
		LinkRecordMissing, LinkRecordCorrupt, LinkSizeWrong, LinkOutdated,
		ManifestDigestWrong, ManifestUnreadable, ManifestBlobMissing, ManifestChildMissing, ManifestChildDeleted, ManifestRefused, ReferenceSizeWrong,
		TagBodyWrong, TagManifestMissing, TagManifestDeleted, TagDiffers, TagMarkerMissing,
		ReferrerMissing, ReferrerStale, ReferrerDiffers, ReferrerTwice,
		RepositoryUnmarked, FenceBehind,
		SessionSegmentMissing, SessionOffsetWrong,
		APIKeyUnlisted,
	}
}

// Severity is the severity of every finding of the kind.
func (k Kind) Severity() Severity { return meaningOf(k).severity }
