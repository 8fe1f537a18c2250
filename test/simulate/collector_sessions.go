package simulate

import (
	"errors"
	"fmt"
	"io"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// The ages of sessions that the protocol's collector goes by.
const (
	ageDone = 2 * time.Hour
	ageOpen = 24 * time.Hour
)

func (e *Env) sessionKey(name string) record.Key {
	id := e.id("session " + name)
	return record.Key("u/" + id[:2] + "/" + id)
}

func recordKey(blob string) record.Key { return record.Key("b/" + digestPath(blobDigest(blob))) }

// CollectSession collects the segments of an upload that was finished two hours ago and that its record does not
// name, or that nobody touched for a day. PROTOCOL, "Sessions"; the session is aborted first (ADR 5).
func CollectSession(replica int, name, blob string) Call {
	return Call{Name: "collect the session of upload " + name, Replica: replica, Do: func(e *Env) {
		if err := e.collectSession(e.sessionKey(name), recordKey(blob)); err != nil {
			e.judge(err)
		}
	}}
}

func (e *Env) collectSession(key, of record.Key) error {
	s, err := e.read(key)
	if err != nil || !s.is("done", "open") {
		return err
	}
	age := time.Since(s.value.written)
	if s.is("open") && age < ageOpen || s.is("done") && age < ageDone {
		return nil
	}
	ids := s.value.head.Segments
	if named, err := e.namesAny(of, ids); named || err != nil {
		return err
	}
	if won, err := e.swap(s, map[string]any{"st": "aborted"}); !won {
		return err
	}
	if named, err := e.namesAny(of, ids); named || err != nil {
		return err
	}
	for _, id := range ids {
		if err := (segments{e.call.in}).Delete(e.Ctx, id.ID); err != nil {
			return err
		}
	}
	return nil
}

// namesAny reports whether the record names one of the segments now.
func (e *Env) namesAny(key record.Key, ids []segment) (bool, error) {
	rec, err := e.read(key)
	if err != nil || !rec.is("live", "condemned", "doomed", "corrupt") {
		return false, err
	}
	for _, s := range ids {
		if rec.names(s.ID) {
			return true, nil
		}
	}
	return false, nil
}

func (r *raw) names(id data.ID) bool {
	for _, s := range r.value.head.Segments {
		if s.ID == id {
			return true
		}
	}
	return false
}

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
