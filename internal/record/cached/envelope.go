package cached

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"holdfast/internal/record"
)

// An envelope is a value as the shared cache holds it: a version byte, the HMAC-SHA256 of all that the value is about and of the rest, and the rest:
//
//	version 1 byte | MAC 32 bytes | kind 1 byte | epoch 8 bytes | nonce | version | modified 8 bytes | value
//
// where nonce and version have their length before them, 2 bytes, and modified is in nanoseconds since 1970. It says: "this was the record of the key
// after the fence of its repository was seen there", or, of a fence, "this was the record". That was true once and stays so; whether it is of
// use is decided by who opens it. Another version of the program that writes another form takes another version byte.
const envelopeVersion = 1

// kind is what an envelope is of; it never means anything else.
type kind byte

const (
	kindLink  kind = 'l'
	kindFence kind = 'f'
)

// Why an envelope is refused.
var (
	errForm     = errors.New("cached: not an envelope")
	errUnknown  = errors.New("cached: an envelope of another version")
	errForeign  = errors.New("cached: an envelope that nobody here sealed for this key")
	macOverhead = 1 + sha256.Size
)

// sealer seals and opens envelopes under one secret, for one store.
type sealer struct {
	key      []byte
	identity string
}

// mac is the HMAC-SHA256 of some fields, each with its length before it.
func (s sealer) mac(domain string, fields ...[]byte) []byte {
	m := hmac.New(sha256.New, s.key)
	var n [8]byte
	field := func(f []byte) {
		binary.BigEndian.PutUint64(n[:], uint64(len(f)))
		m.Write(n[:])
		m.Write(f)
	}
	field([]byte(domain))
	field([]byte(s.identity))
	for _, f := range fields {
		field(f)
	}
	return m.Sum(nil)
}

// name is the key in the shared cache: it tells nobody there which repositories and digests there are.
func (s sealer) name(k kind, key record.Key) string {
	return "hf1:" + base64.RawURLEncoding.EncodeToString(s.mac("cached name", []byte{byte(k)}, []byte(key))[:24])
}

// sealed is what is in an envelope.
type sealed struct {
	fence fence // of a link: where the fence was before the link was read; of a fence: itself
	rec   record.Record
}

// seal returns the envelope of what was seen of a key.
func (s sealer) seal(k kind, key record.Key, v sealed) []byte {
	out := make([]byte, macOverhead, macOverhead+64+len(v.fence.nonce)+len(v.rec.Version)+len(v.rec.Value))
	out[0] = envelopeVersion
	out = append(out, byte(k))
	out = binary.BigEndian.AppendUint64(out, v.fence.epoch)
	out = appendText(out, v.fence.nonce)
	out = appendText(out, string(v.rec.Version))
	out = binary.BigEndian.AppendUint64(out, uint64(v.rec.Modified.UnixNano()))
	out = append(out, v.rec.Value...)
	copy(out[1:], s.mac("cached value", []byte{envelopeVersion}, []byte(key), out[macOverhead:]))
	return out
}

func appendText(out []byte, text string) []byte {
	out = binary.BigEndian.AppendUint16(out, uint16(len(text))) //nolint:gosec // a nonce or an ETag
	return append(out, text...)
}

// open verifies an envelope and returns what is in it. Errors: errForm, errUnknown, errForeign.
func (s sealer) open(k kind, key record.Key, envelope []byte) (sealed, error) {
	if len(envelope) < macOverhead {
		return sealed{}, errForm
	}
	if envelope[0] != envelopeVersion {
		return sealed{}, errUnknown
	}
	if len(envelope) > maxSealed { // nobody sealed it: it is not worth the time that its MAC takes
		return sealed{}, errForm
	}
	rest := envelope[macOverhead:]
	if !hmac.Equal(envelope[1:macOverhead], s.mac("cached value", []byte{envelopeVersion}, []byte(key), rest)) {
		return sealed{}, errForeign
	}
	r := reader{rest}
	if got := r.take(1); len(got) != 1 || kind(got[0]) != k {
		return sealed{}, errForm
	}
	var v sealed
	v.fence = fence{r.number(), r.text()}
	v.rec.Version = record.Version(r.text())
	v.rec.Modified = time.Unix(0, int64(r.number())).UTC() //nolint:gosec // a round trip
	if r.rest == nil {
		return sealed{}, errForm
	}
	v.rec.Value = r.rest
	return v, nil
}

// reader takes fields off the front of what was sealed; rest is nil once there was too little.
type reader struct{ rest []byte }

func (r *reader) take(n int) []byte {
	if len(r.rest) < n {
		r.rest = nil
		return nil
	}
	field := r.rest[:n]
	r.rest = r.rest[n:]
	return field
}

func (r *reader) number() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) text() string {
	if b := r.take(2); b != nil {
		return string(r.take(int(binary.BigEndian.Uint16(b))))
	}
	return ""
}
