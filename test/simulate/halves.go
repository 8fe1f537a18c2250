package simulate

import (
	"errors"
	"fmt"
	"io"

	"holdfast/internal/data"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

func (e *Env) sessionKey(name string) record.Key {
	id := e.id("session " + name)
	return record.Key("u/" + id[:2] + "/" + id)
}

func recordKey(blob string) record.Key { return record.Key("b/" + digestPath(blobDigest(blob))) }

// HalfCommit claims an upload as a blob, with last bytes, as a replica does that dies right after.
func HalfCommit(replica int, repo oci.Repository, name, blob, last string) Call {
	return Call{Name: fmt.Sprintf("commit upload %s as %s with %d bytes, and die after the claim", name, blob, len(last)), Replica: replica, Do: func(e *Env) {
		if err := e.claim(e.sessionKey(name), blob, last); err != nil {
			e.judge(err)
		}
		e.saw(fact{object: uploadObject(name), do: doCommit, arg: blob + "|" + last, unknown: true})
		e.saw(fact{object: blobObject(repo, blob), do: doSet, arg: there, unknown: true})
	}, Once: true}
}

func (e *Env) claim(key record.Key, blob, last string) error {
	s, err := e.read(key)
	if err != nil || !s.is("open") {
		return err
	}
	named := s.value.head.Segments
	for len(last) > 0 {
		n := len(last)
		if most := e.world.scenario.SegmentBytes; most > 0 {
			n = min(n, int(most))
		}
		id := data.ID(randomHex())
		w, err := (segments{e.call.in}).Create(e.Ctx, id)
		if err != nil {
			return err
		}
		if _, err = io.WriteString(w, last[:n]); err == nil || errors.Is(err, data.ErrFull) {
			_, err = w.Commit(e.Ctx)
		}
		if err != nil {
			return err
		}
		named, last = append(named, segment{ID: id, Size: int64(n)}), last[n:]
	}
	_, err = e.swap(s, map[string]any{"st": "done", "digest": blobDigest(blob), "segments": named, "offset": len(blobBytes(blob))})
	return err
}
