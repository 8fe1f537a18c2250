// Package retain decides which tags of a repository are kept, as zot's storage.retention does. It is pure: it reads no store and no clock.
//
// What zot means, and what is meant here:
//
//   - The first policy that has a glob which matches the repository is the repository's, alone. Without one all tags are kept.
//   - A policy without keepTags keeps all tags. With keepTags, a tag belongs to the first item that has a pattern which matches it, or no
//     patterns. A tag that belongs to none is dropped. Patterns are regular expressions and match anywhere: v1 matches rev10.
//   - An item without rules keeps what belongs to it. With rules, a tag is kept that any one of them keeps. The counts are among the tags of
//     that item, of that repository.
//   - pulledWithin also keeps what was pushed within it. Tags that were never pulled come last in mostRecentlyPulledCount.
//   - keepUntagged has the same rules for manifests that no tag names. Without rules it is as if it were not there: deleteUntagged, which
//     is true where nothing says otherwise, drops them all. storage.retention.delay is for them and for referrers, not for tags.
//   - deleteReferrers drops what refers to a subject that is gone; without it such a manifest stays.
//   - What was pushed at a time that nobody knows is kept, and is not counted.
//   - zot counts a pull for a manifest: all of its tags were pulled. So does who fills in Tag.Pulled.
//
// What is different here, each time because zot would remove more than the file seems to say:
//
//   - pulledWithin and pushedWithin of 0 are no rules, as counts of 0 are none. In zot they are rules that keep nothing.
//   - Tags that name a digest, as cosign's signatures (sha256-….sig), attestations and SBOMs, and the fallback tags for referrers, are no images: they are
//     kept by no rule and count in none, they stay until deleteReferrers finds their subject gone (Subject). zot does so for
//     signatures and fallback tags, and counts SBOMs and attestations as images.
//   - Of what nobody noted when it was pulled, because a rule by pulls is new, it is not said that it never was: see package pulled.
//   - Ties, of which zot takes any, are broken: by the later push, then by name.
//
// Start with Policy and Decide.
package retain
