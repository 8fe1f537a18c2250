package registry

import (
	"errors"
	"fmt"
	"io"

	"holdfast/internal/data"
	"holdfast/internal/oci"
)

// rememberedHashes is how many blobs are remembered whose files were hashed, in entries: some MiB.
const rememberedHashes = 16384

// hashedFile says of a file that this process has hashed all of it, that it was the digest's, and how the file looked then. Segments never change: what
// is wrong with one later, and not in its fingerprint, is the disk's fault, which the scrub finds. Whether the blob is there, and whole as far as anybody
// knows, its link says at every request.
type hashedFile struct {
	digest      oci.Digest
	fingerprint string
}

// sendable returns the file that the range of r is in, when the bytes may leave without being read here: a part of a blob, which nobody can verify
// but the client; and a whole one that this process hashed before, in a file that has not changed since. Blobs of several segments are read.
func (b *localBytes) sendable(r *segmentReader, whole bool) (data.FileReader, bool) {
	file, ok := r.current.(data.FileReader)
	if !ok || len(b.segments) != 1 {
		return nil, false
	}
	if !whole {
		return file, true
	}
	known, ok := b.l.hashed.Find(b.segments[0].ID)
	return file, ok && known == hashedFile{b.digest, file.Fingerprint()}
}

// hashedReader is a whole blob that may leave as a file. Where it cannot, as over TLS, it is read here, and hashed as ever.
type hashedReader struct {
	*verifiedReader
	sent data.FileReader
}

// WriteTo implements io.WriterTo: see data.FileReader.
func (h *hashedReader) WriteTo(dst io.Writer) (int64, error) { return h.sent.WriteTo(dst) }

// watched is the file that r is about to read whole, as it looks now: see hashedAll.
func (b *localBytes) watched(r *segmentReader) (data.FileReader, string) {
	if file, ok := r.current.(data.FileReader); ok && len(b.segments) == 1 {
		return file, file.Fingerprint()
	}
	return nil, ""
}

// keeper is the reader of a blob's only segment, where that can keep what was read.
func (b *localBytes) keeper(r *segmentReader) data.KeepingReader {
	if k, ok := r.current.(data.KeepingReader); ok && len(b.segments) == 1 {
		return k
	}
	return nil
}

// kept is the reader of a blob's only segment, where its bytes were kept as those of the digest: then they need not be hashed once more.
func (b *localBytes) kept(r *segmentReader) data.KeptReader {
	if k, ok := r.current.(data.KeptReader); ok && len(b.segments) == 1 && k.Proof() == string(b.digest) {
		return k
	}
	return nil
}

// catchUp is called when what was kept has gone from memory while it was read: the bytes that were given of it so far, which nobody hashed, are read
// from the store and hashed, so that the end is the digest's as ever.
func (v *verifiedReader) catchUp() error {
	given := v.bytes.size - v.rest
	v.kept = nil
	if given == 0 {
		return nil
	}
	r, err := openSegments(v.ctx, v.bytes.l.pulls, v.bytes.segments, 0, given)
	if err != nil {
		return err
	}
	_, err = io.Copy(v.hash, r)
	return errors.Join(err, r.Close())
}

// hashedAll remembers that all of a blob was hashed, when its file is as it was before, and has it kept for those who read it next.
func (v *verifiedReader) hashedAll() {
	if v.keeper != nil {
		v.keeper.Keep(string(v.bytes.digest))
	}
	if v.fingerprint != "" && v.file.Fingerprint() == v.fingerprint {
		v.bytes.l.hashed.Add(v.bytes.segments[0].ID, hashedFile{v.bytes.digest, v.fingerprint})
	}
}

// copyWasWrong is the error of a blob whose bytes came from copies, at least some, and were not its own. It is not marked corrupt: the next read is one of
// the store, which tells.
func (v *verifiedReader) copyWasWrong() error {
	d := v.bytes.digest
	v.bytes.l.log.WarnContext(v.ctx, "a blob's bytes in the cache were not its digest's; it is read from the store from now on", "digest", d)
	return fmt.Errorf("registry: a copy of %s was damaged: %w", d, oci.Errorf(oci.Unavailable, "what this replica had of %s was damaged: try again", d))
}
