package simulate

import (
	"holdfast/internal/collect/fsck"
	"holdfast/internal/format"
)

// checkFormat has fsck look at the stores as a run has left them. What holds at every moment must hold, whatever crashed; of what a request
// may leave half done the other checks know whether it did.
func (w *world) checkFormat() {
	r, err := fsck.Run(w.ctx, format.Store{Records: w.records}, w.segments, fsck.Config{Offline: true, Pause: -1, Parallel: 1, MaxNames: 1 << 12})
	if err != nil {
		w.breaks("fsck: %v", err)
		return
	}
	for _, f := range r.Findings {
		if f.Severity != fsck.Waste && !mayBeLeft(f.Kind) {
			w.breaks("fsck: %s: %s %s", f.Kind, w.keyName(f.Keys[0]), f.Detail)
		}
	}
}

// mayBeLeft reports whether a request that dies, or a user, may leave such a thing.
func mayBeLeft(k fsck.Kind) bool {
	switch k {
	case fsck.LinkRecordCorrupt, // its finder died between the record and the links
		fsck.ManifestBlobMissing, fsck.ManifestChildMissing, // a user deleted a child, and its blobs
		fsck.TagManifestMissing, fsck.ReferrerStale, // a delete was cut
		fsck.ReferrerMissing, fsck.RepositoryUnmarked: // a push was
		return true
	}
	return false
}
