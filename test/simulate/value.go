package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// value is a stored value as the storage format says: the fields that invariants are about.
type value struct {
	head    head
	size    int
	version record.Version
	written time.Time
}

type head struct {
	Version  int             `json:"v"`
	Nonce    string          `json:"n"`
	State    string          `json:"st,omitempty"`
	T        time.Time       `json:"t"`
	Fresh    bool            `json:"i,omitempty"`
	Size     int64           `json:"size"`
	Segments []segment       `json:"segments"`
	Digest   oci.Digest      `json:"digest"`
	Offset   int64           `json:"offset"`
	Epoch    uint64          `json:"epoch"`
	Gen      string          `json:"g"`
	List     []referrerEntry `json:"list"`
}

type segment struct {
	ID   data.ID `json:"id"`
	Size int64   `json:"size"`
}

type referrerEntry struct {
	Descriptor oci.Descriptor `json:"descriptor"`
	Gen        string         `json:"g"`
}

// request is how long after its time a fresh value may land: the deadline rule.
const request = time.Hour

func parseValue(raw []byte, stamp record.Stamp) (*value, error) {
	text, _, found := bytes.Cut(raw, []byte{'\n'})
	if !found {
		return nil, fmt.Errorf("a value of %d bytes has no head", len(raw))
	}
	v := &value{size: len(raw), version: stamp.Version, written: stamp.Modified}
	if err := json.Unmarshal(bytes.TrimRight(text, " "), &v.head); err != nil {
		return nil, fmt.Errorf("a value's head: %w", err)
	}
	if v.head.Fresh && stamp.Modified.Sub(v.head.T) > request {
		v.head.State = "void"
	}
	return v, nil
}

// present reports whether readers see the value.
func (v *value) present() bool {
	return v != nil && (v.head.State == "live" || v.head.State == "condemned" || v.head.State == "")
}

// named reports whether the value names its segments: they must be there.
func (v *value) named() bool { return v.present() || v != nil && v.head.State == "corrupt" }
