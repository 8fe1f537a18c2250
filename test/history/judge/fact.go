package judge

import (
	"math"

	"holdfast/test/history/call"
)

// never is when a request returns whose outcome is unknown.
const never = math.MaxInt64

// deed is what a fact says of its object.
type deed string

const (
	set      deed = "set"      // to the value
	cleared  deed = "cleared"  // and something was there before
	absence  deed = "absence"  // nothing is there from now on, whatever was
	clearIf  deed = "clearIf"  // nothing is there from now on, if the value was
	is       deed = "is"       // the value is there
	missing  deed = "missing"  // nothing is there
	maySet   deed = "maySet"   // set, or nothing happened
	mayClear deed = "mayClear" // clearIf, or nothing happened
)

// there is the value of a manifest or a blob, which are there or not. That of a tag is a digest.
const there = "there"

// fact is what one call says of one object: at some time from from to to.
type fact struct {
	do       deed
	value    string
	from, to int64
	call     *call.Call
}

// reads reports whether a fact changes nothing.
func (f *fact) reads() bool { return f.do == is || f.do == missing }

// step returns the values that the object may have after the fact, none when the fact is impossible. "" is nothing.
func step(state string, f *fact) []any {
	when := func(ok bool, next string) []any {
		if ok {
			return []any{next}
		}
		return nil
	}
	switch f.do {
	case set:
		return []any{f.value}
	case cleared:
		return when(state != "", "")
	case absence:
		return []any{""}
	case clearIf:
		if state == f.value {
			return []any{""}
		}
		return []any{state}
	case is:
		return when(state == f.value, state)
	case missing:
		return when(state == "", state)
	case maySet:
		return []any{state, f.value}
	case mayClear:
		if state == f.value {
			return []any{state, ""}
		}
		return []any{state}
	}
	panic("judge: no such deed: " + string(f.do)) // a bug
}
