package simulate

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// The collector of the protocol, part by part and without any grace, for writers to race with. It is a
// client like the others: its steps are store operations, and it may crash at each of them.

// raw is a stored value that the collector swaps, field by field.
type raw struct {
	key     record.Key
	version record.Version
	head    map[string]any
	body    []byte
	value   *value
}

// read gets a value; nil when there is none, or a void one.
func (e *Env) read(key record.Key) (*raw, error) {
	rec, err := records{e.call.in}.Get(e.Ctx, key)
	if errors.Is(err, record.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &raw{key: key, version: rec.Version}
	if r.value, err = parseValue(rec.Value, rec.Stamp); err != nil {
		return nil, err
	}
	head, body, _ := bytes.Cut(rec.Value, []byte{'\n'})
	r.body = body
	return r, json.Unmarshal(head, &r.head)
}

// is reports whether the value is in one of the states.
func (r *raw) is(states ...string) bool {
	if r == nil {
		return false
	}
	for _, s := range states {
		if r.value.head.State == s {
			return true
		}
	}
	return false
}

// swap changes fields of a value, under the condition that nobody else has; false when somebody had. A new
// value is created where r has no version.
func (e *Env) swap(r *raw, change map[string]any) (bool, error) {
	head := map[string]any{}
	for k, v := range r.head {
		head[k] = v
	}
	for k, v := range change {
		head[k] = v
	}
	delete(head, "i")
	store := records{e.call.in}
	head["v"], head["n"], head["t"], head["o"] = 1, randomHex(), store.Now().UTC(), r.head["n"]
	if r.version == "" {
		head["o"] = "-"
	}
	size := 1024
	if head["st"] == "dead" {
		delete(head, "segments")
		delete(head, "o")
		size = 512
	}
	text, err := json.Marshal(head)
	if err != nil {
		return false, err
	}
	pad := max(size-len(text)-1-len(r.body), 0)
	text = append(text, bytes.Repeat([]byte{' '}, pad)...)
	cond := record.IfAbsent()
	if r.version != "" {
		cond = record.IfVersion(r.version)
	}
	stamp, err := store.Put(e.Ctx, r.key, append(append(text, '\n'), r.body...), cond)
	if errors.Is(err, record.ErrConflict) {
		return false, nil
	}
	if err == nil {
		r.version, r.head = stamp.Version, head
	}
	return err == nil, err
}

// randomHex returns 128 random bits, as nonces and ids are written.
func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}

func digestPath(d oci.Digest) string { return d.Encoded()[:2] + "/sha256-" + d.Encoded() }

// repositoryPrefix returns the folder of a repository whose name needs no escapes.
func repositoryPrefix(repo oci.Repository) string {
	sum := sha256.Sum256([]byte(repo))
	return "r/" + hex.EncodeToString(sum[:1]) + "/" + string(repo) + "/"
}

// CollectDigest collects a blob record that no link holds. PROTOCOL, "One digest".
func CollectDigest(replica int, blob string) Call {
	return Call{Name: "collect the record of " + blob, Replica: replica, Do: func(e *Env) {
		if err := e.collectDigest(blobDigest(blob)); err != nil {
			e.judge(err)
		}
	}}
}

func (e *Env) collectDigest(d oci.Digest) error {
	if held, err := e.held(d); held || err != nil {
		return err
	}
	rec, err := e.read(record.Key("b/" + digestPath(d)))
	if err != nil {
		return err
	}
	if rec.is("live") {
		if done, err := e.swap(rec, map[string]any{"st": "condemned"}); !done {
			return err
		}
	} else if !rec.is("condemned", "doomed") {
		return nil
	}
	if !rec.is("doomed") {
		held, err := e.held(d)
		if err != nil {
			return err
		}
		if held {
			_, err := e.swap(rec, map[string]any{"st": "live"})
			return err
		}
		if done, err := e.swap(rec, map[string]any{"st": "doomed"}); !done {
			return err
		}
	}
	for _, s := range rec.value.head.Segments {
		if err := (segments{e.call.in}).Delete(e.Ctx, s.ID); err != nil {
			return err
		}
	}
	_, err = e.swap(rec, map[string]any{"st": "dead"})
	return err
}

// held reports whether a link pending, live or condemned holds the digest.
func (e *Env) held(d oci.Digest) (bool, error) {
	for entry, err := range (records{e.call.in}).List(e.Ctx, record.Key("l/"+digestPath(d)+"/"), "") {
		if err != nil {
			return false, err
		}
		link, err := e.read(entry.Key)
		if err != nil || link.is("pending", "live", "condemned") {
			return true, err
		}
	}
	return false, nil
}

// CollectLink collects a link that no manifest refers to, though it is young. PROTOCOL, "One repository", 6 to 8.
func CollectLink(replica int, repo oci.Repository, blob string) Call {
	return Call{Name: fmt.Sprintf("collect the link of %s in %s", blob, repo), Replica: replica, Do: func(e *Env) {
		killed, err := e.collectLink(repo, blobDigest(blob))
		if err != nil {
			e.judge(err)
		}
		if killed || err != nil {
			e.saw(fact{object: blobObject(repo, blob), do: doAbsence, unknown: err != nil})
		}
	}}
}

func (e *Env) collectLink(repo oci.Repository, d oci.Digest) (killed bool, err error) {
	prefix := repositoryPrefix(repo)
	if used, err := e.used(prefix, d); used || err != nil {
		return false, err
	}
	link, err := e.read(record.Key("l/" + digestPath(d) + "/" + string(repo)))
	if err != nil || !link.is("live", "condemned") {
		return false, err
	}
	if done, err := e.swap(link, map[string]any{"st": "condemned"}); !done {
		return false, err
	}
	if err := e.raiseFence(prefix); err != nil {
		return false, err
	}
	used, err := e.used(prefix, d)
	if err != nil {
		return false, err
	}
	if used {
		_, err := e.swap(link, map[string]any{"st": "live"})
		return false, err
	}
	return e.swap(link, map[string]any{"st": "dead"})
}

// used reports whether a manifest live or condemned refers to the digest.
func (e *Env) used(prefix string, d oci.Digest) (bool, error) {
	for entry, err := range (records{e.call.in}).List(e.Ctx, record.Key(prefix+"m/"), "") {
		if err != nil {
			return false, err
		}
		m, err := e.read(entry.Key)
		if err != nil || m.is("live", "condemned") && bytes.Contains(m.body, []byte(d)) {
			return true, err
		}
	}
	return false, nil
}

func (e *Env) raiseFence(prefix string) error {
	f, err := e.read(record.Key(prefix + "f"))
	if err != nil {
		return err
	}
	epoch := uint64(0)
	if f == nil {
		f = &raw{key: record.Key(prefix + "f"), head: map[string]any{}}
	} else {
		epoch = f.value.head.Epoch
	}
	_, err = e.swap(f, map[string]any{"epoch": epoch + 1})
	return err
}

// CollectOrphans deletes the segments that no record and no session names. PROTOCOL: older than the Orphan
// age, and still unnamed when looked at again; let the time pass first.
func CollectOrphans(replica int, blob string) Call {
	return Call{Name: "collect orphans", Replica: replica, Do: func(e *Env) {
		if err := e.collectOrphans(blobDigest(blob)); err != nil {
			e.judge(err)
		}
	}}
}

func (e *Env) collectOrphans(d oci.Digest) error {
	for s, err := range (segments{e.call.in}).List(e.Ctx, "") {
		if err != nil {
			return err
		}
		if time.Since(s.Modified) < 7*24*time.Hour {
			continue
		}
		for range 2 {
			rec, err := e.read(record.Key("b/" + digestPath(d)))
			if err != nil {
				return err
			}
			if rec.is("live", "condemned", "doomed", "corrupt") && rec.names(s.ID) {
				return nil
			}
		}
		if err := (segments{e.call.in}).Delete(e.Ctx, s.ID); err != nil {
			return err
		}
	}
	return nil
}

// Pass lets time pass: for everybody.
func Pass(replica int, d time.Duration) Call {
	return Call{Name: fmt.Sprintf("%s pass", d), Replica: replica, Do: func(e *Env) {
		if e.world.free {
			time.Sleep(d)
			return
		}
		_, _ = e.world.submit(e.Ctx, e.call.in, &op{verb: verbPass, key: d.String(), pass: d, do: func() (any, error) { return nil, nil }})
	}}
}
