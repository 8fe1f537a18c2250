package simulate

import (
	"errors"
	"fmt"

	"holdfast/internal/data"
	"holdfast/internal/record"
)

// sayOp writes an operation as a line: step, replica, call, operation, key, what came of it.
func (w *world) sayOp(o *op, f fault, a answer) {
	if !w.verbose {
		return
	}
	line := fmt.Sprintf("%4d  replica %d  %s", w.step, o.by.in.replica, o.name)
	if o.verb == verbPut {
		if v, err := parseValue(o.value, record.Stamp{}); err == nil {
			line += " " + w.describeValue(v)
		}
	}
	if f != faultNone {
		line += " [" + f.String() + "]"
	}
	switch f {
	case faultRefused, faultLate, faultCrashBefore, faultCrashLate:
	default:
		line += ": " + w.describeAnswer(o, a)
	}
	w.lines = append(w.lines, line)
}

func (w *world) describeValue(v *value) string {
	s := v.head.State
	if s == "" {
		s = "value"
	}
	if v.head.Digest != "" {
		s += " of " + w.names.digest(v.head.Digest)
	}
	switch {
	case v.head.Epoch > 0:
		s = fmt.Sprintf("epoch %d", v.head.Epoch)
	case v.head.Offset > 0:
		s += fmt.Sprintf(" at %d", v.head.Offset)
	case v.head.List != nil:
		s = fmt.Sprintf("list of %d", len(v.head.List))
	}
	return s
}

func (w *world) describeAnswer(o *op, a answer) string {
	switch {
	case errors.Is(a.err, record.ErrNotFound), errors.Is(a.err, data.ErrNotFound):
		return "not there"
	case errors.Is(a.err, record.ErrConflict):
		return "conflict"
	case a.err != nil:
		return a.err.Error()
	}
	switch r := a.value.(type) {
	case record.Record:
		if v, err := parseValue(r.Value, r.Stamp); err == nil {
			return w.describeValue(v)
		}
	case []record.Entry:
		s := fmt.Sprintf("%d keys", len(r))
		for _, e := range r {
			s += ", " + w.keyName(e.Key)
			if e.Size == 512 {
				s += " (dead)"
			}
		}
		return s
	}
	return "done"
}
