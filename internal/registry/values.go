package registry

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/oci"
)

// Sizes that make a dead value visible in a list, which shows sizes but no values.
const (
	deadSize    = 512
	minLiveSize = 1024
)

// formatVersion is the version of every value: the field v.
const formatVersion = 1

// state is the state of a value.
type state string

const (
	absent    state = ""          // no value, or one that counts for nothing
	pending   state = "pending"   // a link whose blob record is not settled yet
	live      state = "live"      //
	condemned state = "condemned" // about to die, can be rescued, still present for readers
	doomed    state = "doomed"    // a blob record whose segments are being deleted: past rescue
	dead      state = "dead"      // a tombstone
	corrupt   state = "corrupt"   // its bytes at rest are not the digest's
	open      state = "open"      // an upload that goes on
	done      state = "done"      // an upload that became a blob
	aborted   state = "aborted"   // an upload that was cancelled
)

// meta is the head of every value.
type meta struct {
	Version int       `json:"v"`
	Nonce   string    `json:"n"`
	State   state     `json:"st,omitempty"`
	T       time.Time `json:"t"`           // the store's time just before the write
	Over    string    `json:"o,omitempty"` // the nonce of the value that it replaced, or noValue; not in a dead one
	Fresh   bool      `json:"i,omitempty"` // written under "absent", or a blob record's (re)installation: the deadline rule applies
}

func (m *meta) base() *meta { return m }

// noValue is in place of a nonce where there was no value.
const noValue = "-"

type segment struct {
	ID   data.ID `json:"id"`
	Size int64   `json:"size"`
}

// blobHead is a blob record: which segments hold a digest's bytes.
type blobHead struct {
	meta
	Size     int64     `json:"size"`
	Segments []segment `json:"segments"`
}

// linkHead is a link: "this repository has this blob", and where its bytes are.
type linkHead struct {
	meta
	Size     int64     `json:"size"`
	Segments []segment `json:"segments"`
}

// manifestHead stands before a manifest's exact bytes.
type manifestHead struct {
	meta
	MediaType  string     `json:"mediaType"`
	Epoch      uint64     `json:"e"`                 // the fence under which its references were read
	Generation string     `json:"g"`                 // random, new when it comes (back) to life
	Subject    oci.Digest `json:"subject,omitempty"` // of a dead one: whose referrers listed it
}

// tagHead is a tag; up to inlineBytes of the manifest stand after it.
type tagHead struct {
	meta
	Digest     oci.Digest `json:"digest"`
	Generation string     `json:"g,omitempty"` // the life of the manifest that it was set under
	MediaType  string     `json:"mediaType,omitempty"`
	Size       int64      `json:"size,omitempty"`
	Pushed     time.Time  `json:"pushed,omitzero"` // when it was set; T is later once a delete has touched it
	By         string     `json:"by,omitempty"`
	Previous   []previous `json:"previous,omitempty"` // newest first, at most keptPrevious
}

// asPrevious is what the history keeps of a tag: since when it named the digest, or for a tombstone, when that was written.
func (h *tagHead) asPrevious() previous {
	since := h.Pushed
	if since.IsZero() {
		since = h.T
	}
	return previous{Digest: h.Digest, T: since, By: h.By}
}

// previous is what a tag named before.
type previous struct {
	Digest oci.Digest `json:"digest"`
	T      time.Time  `json:"t"`
	By     string     `json:"by,omitempty"`
}

const (
	inlineBytes  = 256 << 10
	keptPrevious = 8
)

// referrersHead is the list of what refers to a subject.
type referrersHead struct {
	meta
	List []referrer `json:"list"`
}

type referrer struct {
	Descriptor oci.Descriptor `json:"descriptor"`
	Generation string         `json:"g"`
}

const maxReferrersBytes = 4 << 20

// fenceHead is a repository's fence.
type fenceHead struct {
	meta
	Epoch uint64 `json:"epoch"`
}

// markerHead is a marker of a tag under a manifest, or of a repository.
type markerHead struct{ meta }

// uploadHead is an upload session.
type uploadHead struct {
	meta
	Repository  oci.Repository `json:"repo"`
	Algorithm   string         `json:"alg"`
	Offset      int64          `json:"offset"`
	Hash        []byte         `json:"hash,omitempty"` // the state of the hash after offset bytes
	HashVersion int            `json:"hashVersion,omitempty"`
	Segments    []segment      `json:"segments,omitempty"`
	Digest      oci.Digest     `json:"digest,omitempty"` // of a session that is done
}

// header is a pointer to one of the heads.
type header interface{ base() *meta }

// encode lays out a value: the head as JSON, spaces up to the size that the state asks for, a newline,
// the body.
func encode(h header, body []byte) ([]byte, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("registry: encode a value: %w", err)
	}
	size := len(head) + 1 + len(body)
	switch {
	case h.base().State == dead:
		if size > deadSize {
			return nil, fmt.Errorf("registry: encode a value: a tombstone of %d bytes is over %d", size, deadSize)
		}
		size = deadSize
	case size < minLiveSize:
		size = minLiveSize
	}
	value := make([]byte, 0, size)
	value = append(value, head...)
	value = append(value, bytes.Repeat([]byte{' '}, size-len(head)-1-len(body))...)
	value = append(value, '\n')
	return append(value, body...), nil
}

// decode reads a value into h and returns its body, a part of value.
func decode(value []byte, h header) ([]byte, error) {
	head, body, found := bytes.Cut(value, []byte{'\n'})
	if !found {
		return nil, fmt.Errorf("registry: a value of %d bytes has no head", len(value))
	}
	if err := json.Unmarshal(head, h); err != nil {
		return nil, fmt.Errorf("registry: read a value's head: %w", err)
	}
	if v := h.base().Version; v != formatVersion {
		return nil, fmt.Errorf("registry: a value of format %d, this version knows %d", v, formatVersion)
	}
	return body, nil
}

// randomID returns 128 random bits in hex.
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
