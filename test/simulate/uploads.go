package simulate

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// What a fact says of an upload.
const (
	doAppend   = "appended"   // arg came at offset n; n is -1 when the client did not say
	doOffset   = "is at"      // it has n bytes
	doGone     = "is gone"    // it was finished or cancelled
	doCommit   = "committed"  // with the last bytes arg, as the blob of digest
	doMismatch = "mismatches" // with the last bytes arg it is not the blob
	doCancel   = "cancelled"
	doHolds    = "holds" // exactly arg
)

func uploadObject(name string) string { return "upload " + name }

// piece returns part of a blob's bytes.
func piece(blob string, from, to int) string {
	content := blobBytes(blob)
	if to < 0 {
		to = len(content)
	}
	return content[from:to]
}

// vars holds the newest id of each upload, and its first.
func (e *Env) id(name string) string {
	e.world.mu.Lock()
	defer e.world.mu.Unlock()
	return e.world.vars[name]
}

// keep notes the newest id of an upload; before the schedule it is everybody's.
func (e *Env) keep(name string, u registry.Upload) {
	e.world.mu.Lock()
	defer e.world.mu.Unlock()
	e.world.vars[name] = u.ID
	for other := range e.world.vars {
		if e.call.client < 0 && uploadOf(other) == uploadOf(name) {
			e.world.vars[other] = u.ID
		}
	}
}

// StartUpload begins an upload. Each client that goes on with it has an id of its own, which the answers
// renew: "u" is kept as "u", "u/1", "u/2".
func StartUpload(replica int, repo oci.Repository, name string, clients ...string) Call {
	return Call{Name: fmt.Sprintf("start upload %s to %s", name, repo), Replica: replica, Do: func(e *Env) {
		u, err := e.Registry.StartUpload(e.Ctx, repo, digest.SHA256)
		if e.judge(err) != ok {
			return
		}
		for _, c := range append([]string{""}, clients...) {
			e.world.vars[name+c] = u.ID
		}
		e.world.vars["session "+name] = sessionOf(u.ID)
	}}
}

// sessionOf returns the key's last part that a token speaks of: 16 bytes after the first.
func sessionOf(token string) string {
	raw, _ := base64.RawURLEncoding.DecodeString(token)
	return hex.EncodeToString(raw[1:17])
}

func uploadOf(name string) string {
	upload, _, _ := strings.Cut(name, "/")
	return uploadObject(upload)
}

// Append sends a chunk. start -1 does not say where it belongs.
func Append(replica int, repo oci.Repository, name string, start int, chunk string) Call {
	return Call{Name: fmt.Sprintf("append %d bytes at %d to upload %s", len(chunk), start, name), Replica: replica, Do: func(e *Env) {
		u, err := e.Registry.AppendUpload(e.Ctx, repo, e.id(name), registry.Chunk{Start: int64(start), Size: int64(len(chunk)), Body: strings.NewReader(chunk)})
		f := fact{object: uploadOf(name), do: doAppend, arg: chunk, n: int64(start)}
		switch e.judge(err) {
		case ok:
			f.after = u.Offset
			e.saw(f)
			e.keep(name, u)
		case unknown:
			f.unknown = true
			e.saw(f)
		case refused:
			e.sawUpload(name, err, start)
		}
	}}
}

// sawUpload notes what a refusal says of an upload.
func (e *Env) sawUpload(name string, err error, start int) {
	var at *registry.OffsetError
	switch {
	case errors.As(err, &at):
		e.saw(fact{object: uploadOf(name), do: doOffset, n: at.Upload.Offset})
		e.keep(name, at.Upload)
		if start >= 0 && at.Upload.Offset == int64(start) && !e.world.harmed() {
			// The winner may have stood there: a chunk lost against an empty one. No scenario sends those.
			e.breaks("refused at the offset where it belongs")
		}
	case errors.Is(err, &oci.Error{Code: oci.BlobUploadUnknown}):
		e.saw(fact{object: uploadOf(name), do: doGone})
	default:
		e.breaks("refused: %v", err)
	}
}

// Status asks how far an upload is.
func Status(replica int, repo oci.Repository, name string) Call {
	return Call{Name: "status of upload " + name, Replica: replica, Do: func(e *Env) {
		u, err := e.Registry.UploadStatus(e.Ctx, repo, e.id(name))
		switch e.judge(err) {
		case ok:
			e.saw(fact{object: uploadOf(name), do: doOffset, n: u.Offset})
		case refused:
			e.sawUpload(name, err, -1)
		}
	}}
}

// Commit ends an upload as a blob, with last bytes.
func Commit(replica int, repo oci.Repository, name, blob, last string) Call {
	return Call{Name: fmt.Sprintf("commit upload %s as %s with %d bytes", name, blob, len(last)), Replica: replica, Do: func(e *Env) {
		chunk := registry.Chunk{Start: -1, Size: int64(len(last)), Body: strings.NewReader(last)}
		err := e.Registry.CommitUpload(e.Ctx, repo, e.id(name), blobDigest(blob), chunk)
		v := e.judge(err)
		switch {
		case v != refused:
			e.saw(fact{object: uploadOf(name), do: doCommit, arg: blob + "|" + last, unknown: v == unknown})
			e.saw(fact{object: blobObject(repo, blob), do: doSet, arg: there, unknown: v == unknown})
		case errors.Is(err, oci.ErrDigestInvalid):
			e.saw(fact{object: uploadOf(name), do: doMismatch, arg: blob + "|" + last})
		default:
			e.sawUpload(name, err, -1)
			var at *registry.OffsetError
			e.call.again = e.world.scenario.Rivals && errors.As(err, &at)
		}
	}}
}

// Cancel ends an upload without a blob.
func Cancel(replica int, repo oci.Repository, name string) Call {
	return Call{Name: "cancel upload " + name, Replica: replica, Do: func(e *Env) {
		err := e.Registry.CancelUpload(e.Ctx, repo, e.id(name))
		if v := e.judge(err); v != refused {
			e.saw(fact{object: uploadOf(name), do: doCancel, unknown: v == unknown})
		} else {
			e.sawUpload(name, err, -1)
		}
	}}
}
