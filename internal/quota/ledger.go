package quota

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
)

// The records, which the format knows.
type (
	ledger = format.QuotaLedger
	sum    = format.QuotaSum
	base   = format.QuotaBase
	mark   = format.QuotaMark
)

// view is what the store says of all ledgers. at is the store's time just before it was read.
type view struct {
	at      time.Time
	base    format.Stored[base]
	ledgers map[string]format.Stored[ledger] // live ones, by id
}

// readView makes one list, one read for each ledger that is not as it was in old, and then one for the base. The base comes last: a ledger that was retired when it was looked for is in it.
func readView(ctx context.Context, s format.Store, old *view) (*view, error) {
	v := &view{at: s.Records.Now(), ledgers: map[string]format.Stored[ledger]{}}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	var mu sync.Mutex
	keep := func(id string, l format.Stored[ledger]) {
		mu.Lock()
		defer mu.Unlock()
		v.ledgers[id] = l
	}
	var listErr error
	for entry, err := range s.Records.List(gctx, format.PrefixQuotaLedgers, "") {
		if err != nil {
			listErr = fmt.Errorf("quota: list %s: %w", format.PrefixQuotaLedgers, err)
			break
		}
		if entry.Size == format.DeadSize {
			continue
		}
		id := string(entry.Key[len(format.PrefixQuotaLedgers):])
		if old != nil {
			if known, is := old.ledgers[id]; is && known.Version == entry.Version {
				keep(id, known)
				continue
			}
		}
		g.Go(func() error {
			l, err := format.Read[ledger](gctx, s, entry.Key)
			if err == nil && l.Is(format.Live) {
				keep(id, l)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if listErr != nil {
		return nil, listErr
	}
	var err error
	if v.base, err = format.Read[base](ctx, s, format.KeyQuotaBase); err != nil {
		return nil, err
	}
	return v, nil
}

// parallelReads is how many reads run at once.
const parallelReads = 16

// counted reports whether a prefix was counted: before that its limit is not in force.
func (v *view) counted(prefix string) bool {
	if v == nil || !v.base.Is(format.Live) {
		return false
	}
	_, is := v.base.Head.Counted[prefix]
	return is
}

// total sums up a prefix: what is held, and what may be held once all claims are used up. own is the ledger of this replica by what it
// knows itself, of the count in view, and takes the place of the one that was read; "" is of nobody. What a ledger has removed since another count is not taken off: this one
// may have seen it.
func (v *view) total(prefix, ownID string, own *sum) (used, claimed format.Load) {
	if v == nil {
		return used, claimed
	}
	used = v.base.Head.Counted[prefix]
	claimed = used
	add := func(id string, s *sum, since bool) {
		if s == nil {
			return
		}
		m := v.base.Head.Marks[id][prefix]
		added := atLeast(minus(s.Added, m.Added), format.Load{})
		var removed format.Load
		if since {
			removed = s.Removed
		}
		used = plus(used, minus(added, removed))
		claimed = plus(claimed, minus(atLeast(minus(s.Claim, m.Added), added), removed))
	}
	for id, l := range v.ledgers {
		if id != ownID {
			add(id, l.Head.Sums[prefix], l.Head.Count == v.base.Head.Nonce)
		}
	}
	if ownID != "" {
		add(ownID, own, true)
	}
	return atLeast(used, format.Load{}), atLeast(claimed, format.Load{})
}

func plus(a, b format.Load) format.Load {
	return format.Load{Bytes: a.Bytes + b.Bytes, Repositories: a.Repositories + b.Repositories}
}

func minus(a, b format.Load) format.Load {
	return format.Load{Bytes: a.Bytes - b.Bytes, Repositories: a.Repositories - b.Repositories}
}

func atLeast(a, b format.Load) format.Load {
	return format.Load{Bytes: max(a.Bytes, b.Bytes), Repositories: max(a.Repositories, b.Repositories)}
}

// within reports whether no field of a is greater than that of b.
func within(a, b format.Load) bool { return a.Bytes <= b.Bytes && a.Repositories <= b.Repositories }

// copied is a copy of sums that the record keeps.
func copied(sums map[string]*sum) map[string]*sum {
	out := maps.Clone(sums)
	for prefix, s := range out {
		one := *s
		out[prefix] = &one
	}
	return out
}
