package record

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Key names a record. Keys are non-empty, made of parts separated by single slashes, each part at
// most 255 bytes of printable ASCII without '/'; no part begins with a dot (stores keep files of
// their own so), and no key is a folder of another key (stores over a POSIX tree cannot hold "a" and "a/b").
type Key string

// Version identifies one value of one key. It is opaque, never empty for a stored value, and never
// the same for two values of a key, because every value carries a nonce.
type Version string

// Stamp says which version a write made and when, by the store's clock.
type Stamp struct {
	Version  Version
	Modified time.Time
}

// Record is a stored value with its stamp. Value must not be changed by the reader.
type Record struct {
	Value []byte
	Stamp
}

// Entry is what a list tells of a record: everything but the value. Size is the value's length in bytes.
type Entry struct {
	Key  Key
	Size int64
	Stamp
}

// Cond is the condition of a write.
type Cond struct {
	version Version
	kind    condKind
}

type condKind uint8

const (
	condInvalid condKind = iota
	condAbsent
	condVersion
	condAny
)

// IfAbsent holds when the key has no value. A tombstone is a value.
func IfAbsent() Cond { return Cond{kind: condAbsent} }

// IfVersion holds when the key's current version is v.
func IfVersion(v Version) Cond { return Cond{kind: condVersion, version: v} }

// Always holds. Only Delete takes it, for keys that nothing can write again (PROTOCOL: a session
// whose tokens have expired): there is no unconditional overwrite.
func Always() Cond { return Cond{kind: condAny} }

// Absent reports whether the condition is IfAbsent.
func (c Cond) Absent() bool { return c.kind == condAbsent }

// Unconditional reports whether the condition is Always.
func (c Cond) Unconditional() bool { return c.kind == condAny }

// Version returns v and true for IfVersion(v).
func (c Cond) Version() (Version, bool) { return c.version, c.kind == condVersion }

// String names the condition for errors and logs.
func (c Cond) String() string {
	switch c.kind {
	case condAbsent:
		return "if absent"
	case condVersion:
		return "if version " + string(c.version)
	case condAny:
		return "always"
	default:
		return "invalid condition"
	}
}

// CheckPut returns an error unless c is a condition that Put takes. Drivers call it first.
func (c Cond) CheckPut() error {
	if c.kind != condAbsent && c.kind != condVersion {
		return fmt.Errorf("record: put: %s is not a condition for a put", c)
	}
	return nil
}

// CheckDelete returns an error unless c is a condition that Delete takes. Drivers call it first.
func (c Cond) CheckDelete() error {
	if c.kind != condVersion && c.kind != condAny {
		return fmt.Errorf("record: delete: %s is not a condition for a delete", c)
	}
	return nil
}

var (
	// ErrNotFound is a completed answer of the store: the key has no value.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that the condition did not hold and nothing was written.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable means that the store did not answer, or not in time, or that it refused to
	// (throttling, wrong credentials): nothing is known about the key. Every error of a driver that
	// is not ErrNotFound, ErrConflict, a context error or a caller's mistake wraps it.
	ErrUnavailable = errors.New("store unavailable")
)

// Conflict is an ErrConflict that also says what the driver saw when it looked: the key's current
// record, read after the write was refused, or a zero Record when the key had no value then. Drivers
// that read the key anyway return it, so that the caller need not read once more.
type Conflict struct{ Current Record }

// Error returns ErrConflict's text.
func (c *Conflict) Error() string { return ErrConflict.Error() }

// Is reports whether target is ErrConflict.
func (c *Conflict) Is(target error) bool { return target == ErrConflict }

// Uncertain is an ErrUnavailable of a Put that was sent, whose answer was lost, and whose key holds another
// value now: ours was there before it, or never was. Current is what is there. A caller to whom it does not
// matter who wrote the value goes on with it.
type Uncertain struct {
	Current Record
	Err     error // the lost answer; wraps ErrUnavailable
}

// Error says what happened to the answer.
func (u *Uncertain) Error() string { return u.Err.Error() }

// Unwrap returns the lost answer.
func (u *Uncertain) Unwrap() error { return u.Err }

// Store keeps small values (at most 5 MiB) under ordered keys. Safe for concurrent use, by any number
// of processes where the driver says so. Linearizable per key; List sees every Put that returned
// before it began.
type Store interface {
	// Get returns the value, its version and when it was written by the store's clock.
	// Errors: ErrNotFound.
	Get(ctx context.Context, key Key) (Record, error)

	// Put writes value under cond: IfAbsent or IfVersion(v). The value must carry a nonce, so that
	// no two values of a key are equal: after an answer that was lost the driver reads the key and
	// takes an equal value for its own write.
	// Errors: ErrConflict when cond does not hold; then nothing was written. After any other error
	// the write may have happened, may happen yet, or never. On a nil error it is durable.
	Put(ctx context.Context, key Key, value []byte, cond Cond) (Stamp, error)

	// Delete removes key under IfVersion(v), where the store can, or Always. It never decides a
	// race: only tombstones and keys that nothing writes again are deleted. A key that is not there
	// is no error. Errors: ErrConflict, ErrUnsupported where the store has no dependable
	// conditional delete.
	Delete(ctx context.Context, key Key, cond Cond) error

	// List yields key, version, size and time of the records whose key begins with prefix and is
	// greater than after, in byte order. prefix ends with '/'; after is "" or begins with prefix. It stops
	// at the first error, which it yields. Breaking off the loop frees everything.
	List(ctx context.Context, prefix, after Key) iter.Seq2[Entry, error]

	// Now is the store's clock. It makes no request; it never runs behind a Modified that this
	// process has seen by more than the store's resolution (a second on S3).
	Now() time.Time
}

// ErrUnsupported is what Delete answers to IfVersion on a store without a dependable conditional delete.
var ErrUnsupported = errors.New("not supported by this store")
