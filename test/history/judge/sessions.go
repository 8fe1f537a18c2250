package judge

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/anishathalye/porcupine"

	"holdfast/test/history/call"
)

// session is the model of an upload: how many bytes it has, and whether it has ended.
type session struct {
	offset  int64
	spoiled bool   // a chunk without a Content-Range came after another one: the bytes are not the blob's
	state   string // "", committed or cancelled
}

const (
	committed = "committed"
	cancelled = "cancelled"
)

// sessions asks of each upload whether its calls can have happened one after the other.
func (b *book) sessions() {
	all := make(map[string][]*call.Call)
	for i := range b.calls {
		if c := &b.calls[i]; c.Session != "" && c.Op != call.Start && c.Sent() && (c.Write() || !c.Failed()) {
			all[c.Session] = append(all[c.Session], c)
		}
	}
	each(slices.Sorted(maps.Keys(all)), func(key string) {
		ops := make([]porcupine.Operation, len(all[key]))
		for i, c := range all[key] {
			ops[i] = porcupine.Operation{ClientId: i, Input: c, Call: c.Call, Return: end(c), Metadata: c.String()}
		}
		model := sessionModel()
		result, info := porcupine.CheckOperationsVerbose(model, ops, b.opt.Timeout)
		about := fmt.Sprintf("upload %s of %s to %s", key, call.Short(all[key][0].Ref), all[key][0].Repo)
		switch result {
		case porcupine.Unknown:
			b.undecide(about)
		case porcupine.Illegal:
			view := func(w io.Writer) error { return porcupine.Visualize(model, info, w) }
			b.report(Problem{Rule: "M4", About: about, Text: "no order of these calls explains their answers", Calls: all[key], view: view})
		}
	})
}

func sessionModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{session{}} },
		Step: func(state, input, _ any) []any {
			s, c := state.(session), input.(*call.Call)
			next := stepSession(s, c)
			if c.Failed() {
				return append(next, s) // or nothing happened
			}
			return next
		},
		Equal:             func(x, y any) bool { return x == y },
		DescribeOperation: func(input, _ any) string { return input.(*call.Call).String() },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
	return m.ToModel()
}

// stepSession returns what the upload may be after a call, nothing when the call cannot have been answered so. What
// was not answered is taken as if it had succeeded.
func stepSession(s session, c *call.Call) []any {
	on := s.state == ""
	when := func(ok bool, next ...any) []any {
		if ok {
			return next
		}
		return nil
	}
	switch c.Status {
	case http.StatusNotFound:
		return when(!on, s)
	case http.StatusRequestedRangeNotSatisfiable: // the Range says where it is, if there is one
		return when(on && (!c.Said || c.Begin != s.offset) && (c.Offset == s.offset || c.Offset < 0), s)
	}
	switch c.Op {
	case call.Append:
		next := session{offset: s.offset + c.Len, spoiled: s.spoiled || c.Begin != s.offset}
		return when(on && (!c.Said || c.Begin == s.offset) && (c.Failed() || c.Offset == next.offset), next)
	case call.Status:
		return when(on && c.Offset == s.offset, s)
	case call.Cancel:
		return when(on, session{s.offset, s.spoiled, cancelled})
	case call.Commit:
		return commit(s, c)
	}
	return []any{s}
}

func commit(s session, c *call.Call) []any {
	fits := c.Begin == s.offset && s.offset+c.Len == c.Size && !s.spoiled
	switch {
	case c.BadSum && c.Failed():
		return []any{s}
	case c.Status == http.StatusBadRequest: // refused for its digest, and the upload goes on
		if s.state == "" && (c.BadSum || !fits) {
			return []any{s}
		}
	case s.state == committed: // the same commit again
		return []any{s}
	case s.state == "" && fits && s.offset == 0: // nothing was ever kept of the session, so that nothing can say that it has ended
		return []any{session{state: committed}, s}
	case s.state == "" && fits:
		return []any{session{offset: s.offset, state: committed}}
	}
	return nil
}
