package simulate

import (
	"bytes"
	"encoding/json"
	"strings"

	"holdfast/internal/record"
)

// rival returns what another writer of the key may do just before a put under cond, so that the condition
// fails for a good reason; nil when there is no such writer. It renews what is there, raises a fence, creates
// what every writer of the key creates, or has created and killed it already.
func (w *world) rival(key record.Key, value []byte, cond record.Cond) func() {
	if _, swap := cond.Version(); !swap && key[0] == 'u' {
		return nil // the first chunk of an upload is never the same twice: scenarios have that race
	}
	return func() {
		written, under := otherNonce(value, false), record.IfAbsent()
		switch current, err := w.getRecord(key); {
		case err == nil:
			written, under = otherNonce(current.Value, true), record.IfVersion(current.Version)
		case mortal(key):
			written = otherNonce([]byte(`{"v":1,"st":"dead"}`+"\n"), false)
		}
		if _, err := w.putRecord(key, written, under); err != nil {
			w.breaks("the simulation itself is broken: a rival does not write %s: %v", key, err)
		}
	}
}

// mortal reports whether values of the key die: of records, links, manifests and tags.
func mortal(key record.Key) bool {
	parts := strings.Split(string(key), "/")
	return parts[0] == "l" || parts[0] == "b" || parts[0] == "r" && (parts[3] == "m" || parts[3] == "t")
}

// otherNonce is the value under another nonce; of a fence with the next epoch, when it is raised.
func otherNonce(value []byte, raised bool) []byte {
	text, body, _ := bytes.Cut(value, []byte{'\n'})
	head := map[string]json.RawMessage{}
	_ = json.Unmarshal(text, &head) // it is a value: it was parsed before
	head["n"] = json.RawMessage(`"` + randomHex() + `"`)
	var epoch uint64
	if raised && json.Unmarshal(head["epoch"], &epoch) == nil {
		head["epoch"], _ = json.Marshal(epoch + 1)
	}
	text, _ = json.Marshal(head)
	size := 1024
	if string(head["st"]) == `"dead"` {
		size = 512
	}
	pad := max(size-len(text)-1-len(body), 0)
	return append(append(append(text, bytes.Repeat([]byte{' '}, pad)...), '\n'), body...)
}
