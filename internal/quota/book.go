package quota

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// Config is of the book of one replica for one store.
type Config struct {
	Holder string  // names this process for people
	Limits []Limit // of this store
	// Interval is how often a replica that adds or removes writes its ledger, and how old its knowledge of the others may be when it refuses; 0: 2 s.
	Interval time.Duration
	// Slow is the store as a count reads it, so that clients come first; nil: as everything else.
	Slow record.Store
	// Enforce refuses what passes a limit. Without it everything is admitted, and counted: what an operator's commands do.
	Enforce bool
}

const (
	defaultInterval = 2 * time.Second
	// lookEvery is how often a replica that has nothing to do reads what others did.
	lookEvery = 30 * time.Second
	// aliveEvery is how often a ledger is written though nothing changed. One that was not written for silentAfter is of a replica that died.
	aliveEvery  = time.Minute
	silentAfter = 5 * time.Minute
	// keepTime is how long a write of the ledger, and a look, may take at least.
	keepTime = 10 * time.Second

	// Of the room that is left, a replica claims one part in claimParts in advance, and at most mostClaim bytes.
	claimParts = 16
	mostClaim  = 1 << 30
)

// Book is what one replica knows of the limits of one store. It is a format.Scales. Safe for concurrent use.
type Book struct {
	store    format.Store // without scales: the book's own records are no load
	cfg      Config
	log      *slog.Logger
	turn     chan struct{} // holds one token: one conversation with the store at a time
	counting chan struct{} // the same for Recount
	wake     chan struct{} // has a value when Run has something to do soon

	mu       sync.Mutex
	limits   []Limit
	sums     map[string]*sum        // of this replica's ledger, by prefix
	held     map[string]format.Load // reserved for writes that are under way
	unsureAt time.Time              // as in the ledger
	view     *view
	count    string // the nonce of the base in view: what is removed in sums began after that was read
	// busy says that something was admitted since the last flush: the claim stays.
	busy bool

	// These belong to whoever has the turn.
	id      string
	written format.Stored[ledger]
}

// Open returns the book of a store. It makes no request.
func Open(s format.Store, cfg Config, log *slog.Logger) *Book {
	s.Scales = nil
	cfg.Interval = cmp.Or(cfg.Interval, defaultInterval)
	b := &Book{
		store: s, cfg: cfg, log: log, turn: make(chan struct{}, 1), counting: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		sums: map[string]*sum{}, held: map[string]format.Load{}, id: format.RandomID(),
	}
	b.SetLimits(cfg.Limits)
	return b
}

// SetLimits changes the limits. One for a prefix that was not counted is in force after the next count, which begins soon.
func (b *Book) SetLimits(limits []Limit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limits = arranged(limits)
	for _, l := range b.limits {
		if b.sums[l.Prefix] == nil {
			b.sums[l.Prefix] = &sum{}
		}
	}
	b.poke()
}

// poke has Run look after the book within the interval.
func (b *Book) poke() {
	select {
	case b.wake <- struct{}{}:
	default: // it will
	}
}

// Begin implements format.Scales. It makes no request while this replica's claim has room, and a write, a list and some reads when it has to be raised.
// Errors: DENIED, TOOMANYREQUESTS, as *oci.Error; UNAVAILABLE when the room that is left is claimed by others; those of the store.
func (b *Book) Begin(ctx context.Context, repo oci.Repository, change format.Load) (func(format.Outcome), error) {
	b.introduce(ctx, change)
	b.mu.Lock()
	e := b.hold(repo, change, !b.cfg.Enforce)
	b.mu.Unlock()
	if e == nil {
		var err error
		if e, err = b.claim(ctx, repo, change); err != nil {
			return nil, err
		}
	}
	return e.done, nil
}

// Counting are the same scales without a limit: for work of our own.
func (b *Book) Counting() format.Scales { return counting{b} }

type counting struct{ book *Book }

// Begin implements format.Scales. It returns no error.
func (c counting) Begin(ctx context.Context, repo oci.Repository, change format.Load) (func(format.Outcome), error) {
	c.book.introduce(ctx, change)
	c.book.mu.Lock()
	defer c.book.mu.Unlock()
	return c.book.hold(repo, change, true).done, nil
}

// introduce looks before the first removal: what is removed before it is known which count was the last is taken off from none. When the look fails, so it is.
func (b *Book) introduce(ctx context.Context, change format.Load) {
	if atLeast(change, format.Load{}) != change && b.current() == nil && b.limited() {
		_ = b.look(ctx) // the next count makes up for it
	}
}

// entry is a write that is under way.
type entry struct {
	book       *Book
	more, less format.Load
	count      string // the last count when it began
	prefixes   []string
	of         []*sum // of the prefixes, also when the limits are others at the end
}

// hold reserves room for a write, if the claims have it or nobody asks for it. Else it returns nil. mu is held.
func (b *Book) hold(repo oci.Repository, change format.Load, anyway bool) *entry {
	e := &entry{book: b, more: atLeast(change, format.Load{}), less: atLeast(minus(format.Load{}, change), format.Load{}), count: b.count}
	for i := range b.limits {
		if !anyway && b.asks(&b.limits[i], repo, e.more) {
			return nil
		}
	}
	for prefix, s := range b.sums {
		if covers(prefix, repo) {
			e.prefixes, e.of = append(e.prefixes, prefix), append(e.of, s)
			b.held[prefix] = plus(b.held[prefix], e.more)
		}
	}
	return e
}

// done notes what became of the write.
func (e *entry) done(o format.Outcome) {
	b := e.book
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, s := range e.of {
		b.held[e.prefixes[i]] = minus(b.held[e.prefixes[i]], e.more)
		if o == format.Lost {
			continue
		}
		s.Added = plus(s.Added, e.more)               // also when nobody knows: rather too much than too little
		if o == format.Landed && e.count == b.count { // else a count has ended meanwhile, which may have seen it
			s.Removed = plus(s.Removed, e.less)
		}
		b.busy = b.busy || e.more != format.Load{}
	}
	if o == format.Unknown && len(e.of) > 0 {
		b.unsureAt = b.store.Records.Now()
	}
	if len(e.of) > 0 {
		b.poke()
	}
}

// asks reports whether more for a repository passes the claim under a limit that is, or may be, in force. mu is held.
func (b *Book) asks(l *Limit, repo oci.Repository, more format.Load) bool {
	more = l.relevant(more)
	if more == (format.Load{}) || !l.covers(repo) {
		return false
	}
	if b.view == nil {
		return true
	}
	s := b.sums[l.Prefix]
	return b.view.counted(l.Prefix) && !within(l.relevant(plus(plus(s.Added, b.held[l.Prefix]), more)), s.Claim)
}

// relevant is a load without the fields that the limit is not for.
func (l *Limit) relevant(a format.Load) format.Load {
	if l.Bytes == 0 {
		a.Bytes = 0
	}
	if l.Repositories == 0 {
		a.Repositories = 0
	}
	return a
}

func (l *Limit) most() format.Load {
	return format.Load{Bytes: l.Bytes, Repositories: l.Repositories}
}

// claim raises this replica's claims so that there is room for a change, and holds it. First its own ledger is written, then those of
// others are read: of two that claim the same room at once, the one that wrote later sees the other.
func (b *Book) claim(ctx context.Context, repo oci.Repository, change format.Load) (*entry, error) {
	more := atLeast(change, format.Load{})
	if err := b.take(ctx); err != nil {
		return nil, err
	}
	defer func() { <-b.turn }()
	if b.current() == nil { // nothing was read yet
		if err := b.lookNow(ctx); err != nil {
			return nil, err
		}
	}
	raised, err := b.raise(repo, more)
	if err != nil {
		return nil, err
	}
	stands := false
	if len(raised) > 0 {
		defer func() {
			if !stands {
				b.poke() // the ledger keeps others from what was claimed, until it is written again
			}
		}()
		asked := map[string]format.Load{}
		for _, r := range raised {
			asked[r.limit.Prefix] = plus(r.need, r.ahead)
		}
		if err := b.write(ctx, asked, false); err != nil {
			return nil, err
		}
		if err := b.lookNow(ctx); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, r := range raised {
		if raised[i].stands, err = b.settle(r, more); err != nil {
			return nil, err // the claims stay as low as raise has made them
		}
	}
	for _, r := range raised {
		b.sums[r.limit.Prefix].Claim = r.stands
	}
	stands = true
	return b.hold(repo, change, true), nil
}

// raise is a claim that is being raised.
type raise struct {
	limit       Limit
	need, ahead format.Load // the least that the claim has to be, and what more is asked for
	stands      format.Load // what it is in the end
}

// raise says which claims have to be raised for more. What of them was not used yet is given up for that time, so that nobody uses it up meanwhile.
func (b *Book) raise(repo oci.Repository, more format.Load) ([]raise, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var raised []raise
	for _, l := range b.limits {
		if !b.asks(&l, repo, more) {
			continue // nothing to raise, or somebody else's claim has made room for this one too
		}
		if err := b.plainlyFull(&l, more); err != nil {
			return nil, err
		}
		s := b.sums[l.Prefix]
		r := raise{limit: l, need: plus(plus(s.Added, b.held[l.Prefix]), more)}
		_, claimed := b.view.total(l.Prefix, b.id, s)
		if l.Bytes > 0 {
			r.ahead.Bytes = max(0, min((l.Bytes-claimed.Bytes-more.Bytes)/claimParts, mostClaim))
		}
		raised = append(raised, r)
	}
	for _, r := range raised {
		b.sums[r.limit.Prefix].Claim = minus(r.need, more)
	}
	return raised, nil
}

// settle decides, by what all ledgers said after the claim was written, what of it stands. mu is held.
func (b *Book) settle(r raise, more format.Load) (format.Load, error) {
	l, s := r.limit, *b.sums[r.limit.Prefix]
	if !b.view.counted(l.Prefix) {
		return s.Claim, nil
	}
	s.Claim = plus(r.need, r.ahead)
	if _, claimed := b.view.total(l.Prefix, b.id, &s); within(l.relevant(claimed), l.most()) {
		return s.Claim, nil
	}
	// Without what is claimed in advance. The ledger says more until it is written again, which keeps others from it and does no harm.
	s.Claim = r.need
	used, claimed := b.view.total(l.Prefix, b.id, &s)
	if within(l.relevant(claimed), l.most()) {
		return s.Claim, nil
	}
	if within(l.relevant(plus(used, more)), l.most()) {
		return s.Claim, &oci.Error{Code: oci.Unavailable, Message: "what is left of the quota of " + l.shown() + " may be taken by pushes that are under way: try again"}
	}
	return s.Claim, l.refusal(used, more)
}

// plainlyFull refuses by what is known, when that is fresh. mu is held.
func (b *Book) plainlyFull(l *Limit, more format.Load) error {
	if b.view == nil || b.store.Records.Now().Sub(b.view.at) > b.cfg.Interval {
		return nil
	}
	used, _ := b.view.total(l.Prefix, b.id, b.sums[l.Prefix])
	if !within(l.relevant(plus(used, more)), l.most()) {
		return l.refusal(used, more)
	}
	return nil
}

// Room says whether there may be room for so many bytes more, before they are received. It does not promise it: Begin decides. It makes no request while
// there seems to be room, and a few when it has not looked for the interval.
// Errors: DENIED; those of the store.
func (b *Book) Room(ctx context.Context, repo oci.Repository, bytes int64) error {
	if _, err := b.room(repo, bytes); err == nil || b.fresh() {
		return err
	}
	if err := b.look(ctx); err != nil {
		return err
	}
	_, err := b.room(repo, bytes)
	return err
}

// room is how many bytes more there is room for by what is known; -1: as many as one likes.
func (b *Book) room(repo oci.Repository, bytes int64) (left int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left = -1
	for i := range b.limits {
		l := &b.limits[i]
		if !b.cfg.Enforce || l.Bytes == 0 || !l.covers(repo) || !b.view.counted(l.Prefix) {
			continue
		}
		used, _ := b.view.total(l.Prefix, b.id, b.sums[l.Prefix])
		if free := max(0, l.Bytes-used.Bytes); left < 0 || free < left {
			left = free
		}
		if used.Bytes+max(bytes, 1) > l.Bytes {
			return left, l.refusal(used, format.Load{Bytes: bytes})
		}
	}
	return left, nil
}

func (b *Book) fresh() bool {
	v := b.current()
	return v != nil && b.store.Records.Now().Sub(v.at) <= b.cfg.Interval
}

func (b *Book) current() *view {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.view
}

// look reads what others say.
func (b *Book) look(ctx context.Context) error {
	if err := b.take(ctx); err != nil {
		return err
	}
	defer func() { <-b.turn }()
	if b.fresh() {
		return nil // somebody looked while this one waited
	}
	return b.lookNow(ctx)
}

// lookNow is look for who has the turn.
func (b *Book) lookNow(ctx context.Context) error {
	v, err := readView(ctx, b.store, b.current())
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.view = v; b.count != v.base.Head.Nonce {
		b.count = v.base.Head.Nonce
		for _, s := range b.sums {
			s.Removed = format.Load{} // the count may have seen it
		}
	}
	return nil
}

func (b *Book) take(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("quota: wait for the ledger: %w", ctx.Err())
	}
}

// writeTries is how often a write of the ledger begins again: only an own write whose answer was lost, or who retired it, can come between.
const writeTries = 4

// write writes the ledger as it is in memory, with the claims that are asked for. The caller has the turn. A ledger that was retired, as that of a replica which was silent for long, is followed by a new one.
func (b *Book) write(ctx context.Context, asked map[string]format.Load, closed bool) error {
	var err error
	for range writeTries {
		b.mu.Lock()
		next := ledger{Holder: b.cfg.Holder, Closed: closed, UnsureAt: b.unsureAt, Count: b.count, Sums: copied(b.sums)}
		b.mu.Unlock()
		for prefix, claim := range asked {
			next.Sums[prefix].Claim = claim
		}
		next.State = format.Live
		var now format.Stored[ledger]
		if now, err = format.Write(ctx, b.store, format.QuotaLedgerKey(b.id), b.written, next, nil, false); err == nil {
			b.written = now
			return nil
		}
		switch {
		case !format.IsConflict(err):
			return fmt.Errorf("quota: write the ledger: %w", err)
		case now.Is(format.Live):
			b.written = now // an earlier one of ours, whose answer was lost
		default:
			b.renew()
		}
	}
	return fmt.Errorf("quota: write the ledger: %w: %w", record.ErrUnavailable, err)
}

// renew begins a new ledger: what the last one said is in what was counted, and nothing is claimed any more.
func (b *Book) renew() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for prefix, s := range b.sums {
		if last := b.written.Head.Sums[prefix]; last != nil {
			s.Added = minus(s.Added, last.Added)
		}
		s.Claim = format.Load{}
	}
	b.unsureAt = b.store.Records.Now() // what it had not written yet may count twice
	b.id, b.written = format.RandomID(), format.Stored[ledger]{}
}

// Flush writes the ledger when it says something else than what is true, and gives back what was claimed and not used since the last call.
func (b *Book) Flush(ctx context.Context) error { return b.flush(ctx, false) }

func (b *Book) flush(ctx context.Context, closed bool) error {
	if err := b.take(ctx); err != nil {
		return err
	}
	defer func() { <-b.turn }()
	b.mu.Lock()
	dirty := !b.unsureAt.Equal(b.written.Head.UnsureAt) || closed
	for prefix, s := range b.sums {
		if !b.busy || closed {
			s.Claim = plus(s.Added, b.held[prefix])
		}
		if was := b.written.Head.Sums[prefix]; was == nil && *s != (sum{}) || was != nil && *was != *s {
			dirty = true
		}
		dirty = dirty || s.Removed != format.Load{} && b.count != b.written.Head.Count
	}
	if b.busy {
		b.poke() // to give the claim back, unless more comes
	}
	b.busy = false
	b.mu.Unlock()
	alive := b.written.Exists() && b.store.Records.Now().Sub(b.written.Modified) >= aliveEvery
	if !dirty && !alive || closed && !b.written.Exists() && !b.hasSums() {
		return nil
	}
	return b.write(ctx, nil, closed)
}

func (b *Book) hasSums() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sums {
		if *s != (sum{}) {
			return true
		}
	}
	return false
}

// Run keeps the ledger, and counts anew when that is due, until ctx ends. Then Close is to be called. Without limits it makes no request.
func (b *Book) Run(ctx context.Context) {
	var counts sync.WaitGroup
	defer counts.Wait()
	for failing := false; ctx.Err() == nil; {
		err := b.keep(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			b.log.WarnContext(ctx, "the ledger of the quotas could not be kept; pushes go on within what is claimed", "err", err)
		}
		if failing = err != nil; failing {
			b.poke()
		}
		if due, why := b.due(); due && b.takeCount() {
			counts.Go(func() { b.recountFor(ctx, why) })
		}
		b.pause(ctx)
	}
}

// pause waits until there is something to do: what was admitted, or other limits, and then for the interval; or, while there are limits, the next look at others.
func (b *Book) pause(ctx context.Context) {
	var next <-chan time.Time
	if b.limited() {
		timer := time.NewTimer(lookEvery)
		defer timer.Stop()
		next = timer.C
	}
	select {
	case <-ctx.Done():
	case <-next:
	case <-b.wake:
		_ = wait(ctx, b.cfg.Interval) // the loop sees that ctx ended
	}
}

// keep writes the ledger, and looks at those of others, as far as that is due.
func (b *Book) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(2*b.cfg.Interval, keepTime))
	defer cancel()
	if err := b.Flush(ctx); err != nil {
		return err
	}
	if v := b.current(); !b.limited() || v != nil && b.store.Records.Now().Sub(v.at) < lookEvery {
		return nil
	}
	return b.look(ctx)
}

func (b *Book) limited() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.limits) > 0
}

// Close writes the ledger for the last time. What is admitted later is found by the next count.
func (b *Book) Close(ctx context.Context) error { return b.flush(ctx, true) }

// Figures are what is known of each limit: what it is, and what is used, up to half a minute old. It makes no request.
func (b *Book) Figures() []Figure {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Figure, len(b.limits))
	for i, l := range b.limits {
		used, claimed := b.view.total(l.Prefix, b.id, b.sums[l.Prefix])
		out[i] = Figure{Limit: l, InForce: b.view.counted(l.Prefix), Used: used, Claimed: minus(claimed, used)}
		if b.view != nil {
			out[i].Counted = b.view.base.Head.Ended
		}
	}
	return out
}

// Figure is a limit and what is used of it.
type Figure struct {
	Limit
	InForce bool        // it was counted what is used
	Used    format.Load // by what all replicas have written
	Claimed format.Load // beyond that, by replicas for pushes to come
	Counted time.Time   // when the last count ended; zero: never
}

// Look is Figures after a look at the store.
func (b *Book) Look(ctx context.Context) ([]Figure, error) {
	if err := b.take(ctx); err != nil {
		return nil, err
	}
	err := b.lookNow(ctx)
	<-b.turn
	return b.Figures(), err
}
