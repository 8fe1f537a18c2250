package format

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
	DeadSize    = 512
	MinLiveSize = 1024
)

// Version is the version of every value: the field v.
const Version = 1

// State is the state of a value.
type State string

// The states.
const (
	Absent    State = ""          // no value, or one that counts for nothing
	Pending   State = "pending"   // a link whose blob record is not settled yet
	Live      State = "live"      //
	Condemned State = "condemned" // about to die, can be rescued, still present for readers
	Doomed    State = "doomed"    // a blob record whose segments are being deleted: past rescue
	Dead      State = "dead"      // a tombstone
	Corrupt   State = "corrupt"   // its bytes at rest are not the digest's
	Open      State = "open"      // an upload that goes on
	Done      State = "done"      // an upload that became a blob
	Aborted   State = "aborted"   // an upload that was cancelled
)

// Meta is the head of every value.
type Meta struct {
	Version int       `json:"v"`
	Nonce   string    `json:"n"`
	State   State     `json:"st,omitempty"`
	T       time.Time `json:"t"`           // the store's time just before the write
	Over    string    `json:"o,omitempty"` // the nonce of the value that it replaced, or NoValue; not in a dead one
	Fresh   bool      `json:"i,omitempty"` // written under "absent", or a blob record's (re)installation: the deadline rule applies
}

func (m *Meta) base() *Meta { return m }

// NoValue is in place of a nonce where there was no value.
const NoValue = "-"

// Segment is a part of a blob's bytes.
type Segment struct {
	ID   data.ID `json:"id"`
	Size int64   `json:"size"`
}

// Blob is a blob record: which segments hold a digest's bytes.
type Blob struct {
	Meta
	Size     int64     `json:"size"`
	Segments []Segment `json:"segments"`
	Old      []Segment `json:"old,omitempty"` // that a merge replaced: kept for readers for the age Tombstone
}

// ManySegments is how many segments a blob may be in before the collector merges them.
const ManySegments = 64

// Link is a link: "this repository has this blob", and where its bytes are.
type Link struct {
	Meta
	Size     int64     `json:"size"`
	Segments []Segment `json:"segments"`
}

// Manifest stands before a manifest's exact bytes.
type Manifest struct {
	Meta
	MediaType  string     `json:"mediaType"`
	Epoch      uint64     `json:"e"`                 // the fence under which its references were read
	Generation string     `json:"g"`                 // random, new when it comes (back) to life
	Subject    oci.Digest `json:"subject,omitempty"` // of a dead one: whose referrers listed it
}

// How much of a manifest a tag carries, and how many values of a tag are remembered.
const (
	InlineBytes  = 256 << 10
	KeptPrevious = 8
)

// Referrers is the list of what refers to a subject.
type Referrers struct {
	Meta
	List []Referrer `json:"list"`
}

// Referrer is an entry of that list: a manifest, and the life of it that refers to the subject.
type Referrer struct {
	Descriptor oci.Descriptor `json:"descriptor"`
	Generation string         `json:"g"`
}

// MaxReferrersBytes bounds the list of one subject.
const MaxReferrersBytes = 4 << 20

// Fence is a repository's fence.
type Fence struct {
	Meta
	Epoch uint64 `json:"epoch"`
}

// Marker is a marker of a tag under a manifest, or of a repository.
type Marker struct{ Meta }

// Pulled is when a manifest was pulled, by tag or by digest. It is written only where a retention rule asks for it, and not for every pull:
// the last pull is later than At by at most the interval of the writer.
type Pulled struct {
	Meta
	At time.Time `json:"at"`
}

// PulledSince is since when the pulls of a repository are noted: of earlier ones nothing is known.
type PulledSince struct {
	Meta
	Since time.Time `json:"since"`
}

// Upload is an upload session.
type Upload struct {
	Meta
	Repository  oci.Repository `json:"repo"`
	Algorithm   string         `json:"alg"`
	Offset      int64          `json:"offset"`
	Hash        []byte         `json:"hash,omitempty"` // the state of the hash after offset bytes
	HashVersion int            `json:"hashVersion,omitempty"`
	Segments    []Segment      `json:"segments,omitempty"`
	Digest      oci.Digest     `json:"digest,omitempty"` // of a session that is done
}

// Hint tells the collector what may have become useless: repositories, and blobs of them. It is written once under a random key, and
// may be lost.
type Hint struct {
	Meta
	Repositories []HintOf `json:"repositories"`
}

// HintOf is what changed in one repository. Without a repository, Blobs are those that are in very many segments.
type HintOf struct {
	Repository oci.Repository `json:"repo,omitempty"`
	Blobs      []oci.Digest   `json:"blobs,omitempty"`
}

// Header is a pointer to one of the heads.
type Header interface{ base() *Meta }

// Encode lays out a value: the head as JSON, spaces up to the size that the state asks for, a newline,
// the body.
func Encode(h Header, body []byte) ([]byte, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("format: encode a value: %w", err)
	}
	size := len(head) + 1 + len(body)
	switch {
	case h.base().State == Dead:
		if size > DeadSize {
			return nil, fmt.Errorf("format: encode a value: a tombstone of %d bytes is over %d", size, DeadSize)
		}
		size = DeadSize
	case size < MinLiveSize:
		size = MinLiveSize
	}
	value := make([]byte, 0, size)
	value = append(value, head...)
	value = append(value, bytes.Repeat([]byte{' '}, size-len(head)-1-len(body))...)
	value = append(value, '\n')
	return append(value, body...), nil
}

// Decode reads a value into h and returns its body, a part of value.
func Decode(value []byte, h Header) ([]byte, error) {
	head, body, found := bytes.Cut(value, []byte{'\n'})
	if !found {
		return nil, fmt.Errorf("format: a value of %d bytes has no head", len(value))
	}
	head = bytes.TrimRight(head, " ") // the parser would look at each of them, twice
	if err := json.Unmarshal(head, h); err != nil {
		return nil, fmt.Errorf("format: read a value's head: %w", err)
	}
	if v := h.base().Version; v != Version {
		return nil, fmt.Errorf("format: a value of format %d, this version knows %d", v, Version)
	}
	return body, nil
}

// RandomID returns 128 random bits in hex.
func RandomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
