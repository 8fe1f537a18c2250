package fault

import "math/rand/v2"

// Rule says which calls go wrong, and how. Of several rules the first that takes
// a call has it.
type Rule struct {
	Fault Fault
	Match func(Call) bool // nil: every call
	Skip  int             // so many of the calls that match pass first
	Times int             // then at most so many go wrong; 0: no limit
	Share float64         // chance of each, above 0 and below 1; 0: all of them
}

// Ops matches the named operations.
func Ops(names ...string) func(Call) bool {
	return func(c Call) bool {
		for _, name := range names {
			if c.Op == name {
				return true
			}
		}
		return false
	}
}

// Of narrows a match to one class of keys.
func Of(class string, match func(Call) bool) func(Call) bool {
	return func(c Call) bool { return c.Class == class && match(c) }
}

// Any matches every call.
func Any(Call) bool { return true }

// Writes matches the calls that change something.
func Writes(c Call) bool { return c.Write() }

// Reads matches the calls that change nothing.
func Reads(c Call) bool { return !c.Write() }

// active is a rule in force.
type active struct {
	Rule
	seen, done int
}

// takes decides on a call and counts it.
func (a *active) takes(c Call, random *rand.Rand) bool {
	if a.Match != nil && !a.Match(c) {
		return false
	}
	a.seen++
	if a.seen <= a.Skip || a.Times > 0 && a.done >= a.Times || a.Share > 0 && random.Float64() >= a.Share {
		return false
	}
	a.done++
	return true
}
