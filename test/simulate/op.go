package simulate

import (
	"fmt"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/record"
)

// verb is what an operation does.
type verb uint8

const (
	verbBegin  verb = iota // a client begins a call: not a store operation, but the scheduler decides when
	verbGet                // of a record
	verbPut                // of a record, under a condition
	verbDelete             // of a record
	verbList               // one page
	verbCommit             // of a segment
	verbOpen               // of a segment
	verbStat               // of a segment
	verbDrop               // delete of a segment
	verbPass               // time passes
)

func (v verb) String() string {
	return [...]string{"begin", "get", "put", "delete", "list", "commit", "open", "stat", "drop", "pass"}[v]
}

// writes reports whether the operation changes a store.
func (v verb) writes() bool {
	return v == verbPut || v == verbDelete || v == verbCommit || v == verbDrop
}

// fault is what goes wrong with an operation.
type fault uint8

const (
	faultNone        fault = iota
	faultRefused           // ErrUnavailable, without effect
	faultLost              // applied, but the answer is ErrUnavailable
	faultLate              // ErrUnavailable now, applied at some time after
	faultTwice             // applied, and sent once more: the second lands at some time after
	faultShort             // a reader breaks in the middle, for want of the store
	faultCrashBefore       // the replica dies before the operation
	faultCrashAfter        // the replica dies after the operation was applied
	faultCrashLate         // the replica dies, the operation was sent and lands at some time after
	faultLands             // a write that was given up, with its context, lands all the same
	faultLooked            // applied, or refused, but the answer is lost: the driver looks what is there
	faultRival             // another writer of the key comes first: the condition does not hold
	faults
)

func (f fault) String() string {
	return [...]string{
		"", "refused by the store", "answer lost", "lands late", "lands twice", "breaks in the middle",
		"CRASH before", "CRASH after", "CRASH, lands late", "given up, yet lands",
		"answer lost, looked for", "after a rival",
	}[f]
}

// possible reports whether the fault can happen to the operation.
func (f fault) possible(o *op) bool {
	switch {
	case f == faultNone:
		return !o.givenUp
	case o.givenUp:
		return f == faultLands
	case o.late || o.verb == verbBegin || o.verb == verbPass:
		return false
	case f == faultShort:
		return o.verb == verbOpen
	case f == faultRefused:
		return true
	case f == faultTwice:
		return o.verb == verbPut || o.verb == verbDelete
	case f == faultLands:
		return false
	case f == faultLooked:
		return o.verb == verbPut
	case f == faultRival:
		return o.verb == verbPut && o.rival != nil
	}
	return o.verb.writes()
}

// op is one operation that waits for the scheduler.
type op struct {
	by      *call
	verb    verb
	key     string   // of the store, or a segment's id
	folders []string // of a list, its prefix; of a write, all prefixes that a list of it may have
	cond    string   // for people
	value   []byte   // of a put
	length  int64    // of an open
	pass    time.Duration

	name    string   // the same in every run: client, call, verb, key, how often before
	what    string   // the key's name
	where   []string // the folders' names, of a write or a list
	cause   uint64   // the step that made it appear
	late    bool     // answered already; it lands when the scheduler says so
	givenUp bool     // its context ended while it waited; it may still land

	do    func() (any, error)
	rival func() // writes the key just before do, so that its condition fails; nil when nobody could
	done  chan answer
}

type answer struct {
	value any
	err   error
}

// unavailable is the error of a store that did not answer.
func (o *op) unavailable() error {
	err := record.ErrUnavailable
	switch o.verb {
	case verbCommit, verbOpen, verbStat, verbDrop:
		err = data.ErrUnavailable
	}
	return fmt.Errorf("simulate: %s %s: %w", o.verb, o.key, err)
}
