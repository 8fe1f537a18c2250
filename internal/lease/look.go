package lease

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"holdfast/internal/format"
)

// Seen is a lease as somebody saw it who does not hold it.
type Seen struct {
	Held   bool   // renewed within the ttl
	Holder string // the last one; "" of a lease that was released, or never taken
	Since  time.Time

	name string
	raw  json.RawMessage
}

// Look reads who holds a lease, with one request. ttl is that of the holders, 0: DefaultTTL.
func Look(ctx context.Context, s format.Store, name string, ttl time.Duration) (Seen, error) {
	l, err := format.Read[head](ctx, s, format.LeaseKey(name))
	if err != nil {
		return Seen{}, fmt.Errorf("lease: look at %s: %w", name, err)
	}
	seen := Seen{name: name, Holder: l.Head.Holder, Since: l.Head.Since}
	if l.Is(format.Live) {
		seen.raw = l.Head.Progress
	}
	seen.Held = held(l) && s.Records.Now().Before(l.Modified.Add(cmp.Or(ttl, DefaultTTL)))
	return seen, nil
}

// Progress decodes what was last saved into v. False: nothing was.
func (s Seen) Progress(v any) (bool, error) { return decode(s.name, s.raw, v) }

func decode(name string, raw json.RawMessage, v any) (bool, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return false, nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("lease: read the progress of %s: %w", name, err)
	}
	return true, nil
}
