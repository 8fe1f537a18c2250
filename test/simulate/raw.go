package simulate

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// raw is a stored value that a call swaps by itself, field by field, as a replica does that dies right after.
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
