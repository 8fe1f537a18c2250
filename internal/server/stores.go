package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/cluster"
	"holdfast/internal/collect"
	"holdfast/internal/collect/pulled"
	"holdfast/internal/collect/scrub"
	"holdfast/internal/data"
	"holdfast/internal/data/cached"
	datafile "holdfast/internal/data/file"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/format"
	"holdfast/internal/observe/metrics"
	"holdfast/internal/observe/recent"
	"holdfast/internal/observe/stores"
	"holdfast/internal/quota"
	"holdfast/internal/record"
	recordbolt "holdfast/internal/record/bolt"
	recordcached "holdfast/internal/record/cached"
	"holdfast/internal/record/gather"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/redirect"
	"holdfast/internal/registry"
	"holdfast/internal/s3"
	"holdfast/internal/s3/probe"
)

// ownDir is the directory of ours below a root directory, and the prefix of ours in a bucket.
const ownDir = "holdfast"

// probeKey is read to see whether a store answers.
const probeKey = record.Key("cfg/format")

// store is an open store with the registry over it.
type store struct {
	path     string // "/", or the sub-path that it is for
	name     string
	cfg      Storage
	registry *registry.Local
	records  record.Store
	segments data.Store
	forPulls data.Store         // segments as clients read them; nil: as all do
	cache    *cached.Store      // of segments, for pulls; nil: there is none
	warm     *datas3.WarmCounts // reads of small segments for pulls; nil: of a local store
	hints    *collect.Hints     // nil: nobody follows them
	pulls    *pulled.Registry   // nil: no rule goes by pulls
	client   *s3.Client         // nil for a local one
	maxName  int                // bytes of a repository name, 0 for all that the spec allows
	scrubbed scrub.Counters
	counted  *metrics.Metrics // is told of passes; nil: nobody is
	watchers stores.Observers // are told of what the store is asked
	retest   bool             // the self-test's result is an earlier one: test in the background
	closers  []func() error
	after    sync.WaitGroup // of the start: what nothing waits for but close

	secret format.Stored[format.Secret] // of the cluster, as the start read it; zero: the registry reads it

	redirects atomic.Pointer[redirect.Rules] // who reads blobs from the store itself

	remembered *recordcached.Store // records, of a bucket

	live atomic.Pointer[Collection] // what a new configuration made of cfg.Collect; nil: it is as it was
	halt context.CancelFunc         // ends the work beside requests for good, on a store that must not be used

	log      *slog.Logger    // set with member
	member   *cluster.Member // this process among those that write to it
	calls    recent.Calls    // of records, in the last minute
	features []format.Feature
	book     *quota.Book // of the quotas; set with registry
}

// close ends the store: first what goes on after answers, then the drivers.
func (s *store) close(ctx context.Context) error {
	if s.registry != nil {
		s.registry.Close()
	}
	if err := s.closeBook(ctx); err != nil {
		s.log.WarnContext(ctx, "the ledger of the quotas was not written: the next count makes up for it", "err", err)
	}
	if err := s.leave(ctx); err != nil { // all that was to be done is done: the end is a clean one
		s.log.WarnContext(ctx, "the heartbeat was not removed: others will take this process for lost", "err", err)
	}
	s.after.Wait()
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

// format is the store of values, with the ages that all who work on it go by.
func (s *store) format() format.Store {
	values := format.Store{Records: s.records, Ages: s.cfg.Ages}
	if s.book != nil {
		values.Scales = s.book.Counting()
	}
	return values
}

// answers makes one small request. A store that asks for fewer requests is busy, not out of reach: taking
// every replica out of service for it would help nobody.
func (s *store) answers(ctx context.Context) error {
	_, err := s.records.Get(ctx, probeKey)
	if err != nil && s.client != nil && s3.KindOf(err) == s3.Throttled {
		return nil
	}
	return err
}

// openStores opens all stores of a configuration, the root's first, or none. watchers, which may be none, are told of what they are asked. Errors: as openStore.
func openStores(ctx context.Context, cfg Config, member cluster.Config, budget *datas3.Budget, watchers stores.Observers, log *slog.Logger) ([]*store, error) {
	var opened []*store
	one := func(path string, cfg Storage) error {
		st, err := openStore(ctx, cfg, member, budget, watchers, log)
		if err != nil {
			return err
		}
		st.path = path
		opened = append(opened, st)
		return nil
	}
	err := one("/", cfg.Storage)
	for _, path := range slices.Sorted(maps.Keys(cfg.SubPaths)) {
		if err == nil {
			err = one("/"+strings.Trim(path, "/"), cfg.SubPaths[path])
		}
	}
	if err != nil {
		for _, st := range opened {
			err = errors.Join(err, st.close(ctx))
		}
		return nil, err
	}
	return opened, nil
}

// openStore opens one store and joins those that write to it. Errors: ErrRefused for what an operator must change, record.ErrUnavailable
// for a store that does not answer.
func openStore(ctx context.Context, cfg Storage, member cluster.Config, budget *datas3.Budget, watchers stores.Observers, log *slog.Logger) (*store, error) {
	cfg = cfg.as(member.Role)
	s := &store{cfg: cfg}
	s.watchers = append(slices.Clone(watchers), &s.calls)
	var err error
	if s.segments, err = s.open(ctx, cfg, member.Version, budget, log); err == nil {
		err = s.join(ctx, member, log)
	}
	if err == nil {
		err = s.openRegistry(ctx, member.Role == cluster.Replica, log)
	}
	if err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// openRegistry opens the registry over the store's drivers, which keeps to quotas where it is to enforce them.
func (s *store) openRegistry(ctx context.Context, enforce bool, log *slog.Logger) (err error) {
	if s.cfg.Ages == (format.Ages{}) {
		s.cfg.Ages = format.DefaultAges()
	}
	if err := s.redirectBy(s.cfg); err != nil {
		return fmt.Errorf("%w: storage.redirectRules: %w", ErrRefused, err)
	}
	s.openBook(enforce, log)
	local := registry.Config{Features: s.features, Scales: s.book, Ages: s.cfg.Ages, MaxBlobBytes: s.cfg.MaxBlobBytes, OpenEarly: s.cfg.S3 != nil, Redirects: s.redirected, MaxNameBytes: s.maxName,
		Joined: s.member != nil, Secret: s.secret}
	if s.cfg.Collect.Enabled { // else hints would pile up
		s.hints = collect.NewHints(s.format(), log)
		local.Changed = s.hints.Changed
	}
	local.Pulls = s.forPulls
	s.registry, err = registry.New(ctx, s.records, s.segments, local, log)
	return s.refusedIfNewer(err)
}

func (s *store) open(ctx context.Context, cfg Storage, version string, budget *datas3.Budget, log *slog.Logger) (data.Store, error) {
	if cfg.S3 != nil {
		return s.openS3(ctx, cfg, version, budget, log)
	}
	return s.openLocal(ctx, cfg)
}

func (s *store) openLocal(ctx context.Context, cfg Storage) (data.Store, error) {
	s.name = cfg.Dir
	if !cfg.IgnoreForeign {
		whose, err := foreignFiles(cfg.Dir)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if whose != "" {
			return nil, refuseForeign(cfg.Dir, whose)
		}
	}
	dir := filepath.Join(cfg.Dir, ownDir)
	// Without GroupDelay, also where blobs are not synced: a push writes its records one after the other, and would wait for company at most of them.
	records, err := recordbolt.Open(ctx, recordbolt.Config{Dir: dir})
	if err != nil {
		if status, askErr := AskRunning(ctx, cfg.Dir); askErr == nil {
			err = fmt.Errorf("%w (pid %d serves it at %s)", err, status.PID, status.Address)
		}
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	s.records = records
	if len(s.watchers) > 0 {
		s.records = s.watchers.Records(stores.Bolt, records)
	}
	s.closers = append(s.closers, records.Close)
	segments, err := datafile.Open(ctx, datafile.Config{Dir: filepath.Join(dir, "data"), Sync: !cfg.NoSync})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	s.closers = append(s.closers, segments.Close)
	if len(s.watchers) > 0 {
		return s.watchers.Segments(stores.File, segments), nil
	}
	return segments, nil
}

func (s *store) openS3(ctx context.Context, cfg Storage, version string, budget *datas3.Budget, log *slog.Logger) (data.Store, error) {
	s3Config := *cfg.S3
	if len(s.watchers) > 0 {
		s3Config.Observe = s.watchers.S3
	}
	client, err := s3.New(ctx, s3Config, log)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	s.client = client
	s.name = "bucket " + client.Bucket()
	s.closers = append(s.closers, func() error { client.Close(); return nil })
	ahead := s.readAhead(ctx, client, cfg)
	result, err := probe.Ensure(ctx, client, version)
	beside := <-ahead
	if err != nil {
		return nil, refusedOr(err)
	}
	if result.Forget != nil {
		s.after.Go(result.Forget)
	}
	if beside != nil {
		return nil, beside
	}
	s.retest, s.maxName = result.Cached, result.Traits.MaxPart
	for _, warning := range result.Warnings {
		log.WarnContext(ctx, "the store's self-test warns", "bucket", client.Bucket(), "warning", warning)
	}
	log.InfoContext(ctx, "the store passed its self-test", "bucket", client.Bucket(), "endpoint", client.Endpoint(), "tier", result.Tier, "earlier", result.Cached)
	s.records = gather.New(records3.New(client, ""), gather.Config{})
	if cfg.Cache.Memory >= 0 {
		shared, err := cfg.Cache.open(ctx, log)
		if err != nil {
			return nil, err
		}
		s.remember(ctx, s.records, recordcached.Config{Shared: shared, Budget: cfg.Cache.Budget, MaxMemory: cfg.Cache.Memory}, log)
	}
	segments := datas3.New(client, "", budget)
	clients := segments.Clients()
	s.warm = clients.WarmReads()
	return s.openCache(ctx, segments, clients, log)
}

// readAhead reads what is needed once the self-test is passed, while that goes on: it looks for another registry's data, and keeps the
// cluster's secret; if that cannot be read, the registry reads it anew and says why. The channel gives one value: the error of lookBeside.
func (s *store) readAhead(ctx context.Context, client *s3.Client, cfg Storage) <-chan error {
	out := make(chan error, 1)
	go func() {
		var all sync.WaitGroup
		all.Go(func() {
			if secret, err := format.Read[format.Secret](ctx, format.Store{Records: records3.New(client, ""), Ages: cmp.Or(cfg.Ages, format.DefaultAges())}, format.KeySecret); err == nil {
				s.secret = secret
			}
		})
		var err error
		if !cfg.IgnoreForeign {
			err = lookBeside(ctx, client, cfg.S3.RootDirectory)
		}
		all.Wait()
		out <- err
	}()
	return out
}

// lookBeside refuses a root directory that holds another registry's data. Its error counts after that of the self-test,
// which names what is wrong with a store that does not answer.
func lookBeside(ctx context.Context, client *s3.Client, root string) error {
	keys, err := client.Beside(ctx)
	if err != nil {
		return fmt.Errorf("%w: look for another registry's data: %w", record.ErrUnavailable, err)
	}
	if whose := foreignLayout(keys); whose != "" {
		return refuseForeign(fmt.Sprintf("bucket %s, root directory %q,", client.Bucket(), root), whose)
	}
	return nil
}

// refusedOr marks an error of the self-test: a store that answers and must not be used is refused, else
// the error stays what it is.
func refusedOr(err error) error {
	var refused *probe.Refused
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// brokenOr is refusedOr for a store that is in use: one that was seen to lose or to tear data must not be
// used any more. What else goes wrong, a permission or the credentials, is an outage, and may pass.
func brokenOr(err error) error {
	var refused *probe.Refused
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Reason {
	case probe.Conditions, probe.Consistency, probe.Multipart, probe.Setting:
		return refusedOr(err)
	default:
		return err
	}
}

// selfTest makes the full self-test of a store that was opened by an earlier result, every retestDelay until
// it can be made.
func (s *store) selfTest(ctx context.Context, version string, outcome func(error)) {
	for ctx.Err() == nil {
		result, err := probe.Run(ctx, s.client, probe.Options{Version: version})
		if err == nil {
			s.client.SetTraits(result.Traits)
			err = probe.Save(ctx, s.client, result)
		}
		err = brokenOr(err)
		outcome(err)
		if err == nil || errors.Is(err, ErrRefused) {
			return
		}
		sleep(ctx, retestDelay)
	}
}

const (
	retestDelay  = time.Minute
	meetingTime  = time.Hour
	meetingDelay = 5 * time.Second // into the minute, so that clocks that differ a little agree on it
)

// meetOthers races this replica against all that run, by the store's clock: in the first full minute, when
// replicas that were started together meet, and then on every hour. Nobody waits for anybody.
func (s *store) meetOthers(ctx context.Context, outcome func(error)) {
	for next := nextMeeting(s.client.Now(), time.Minute); ctx.Err() == nil; next = nextMeeting(s.client.Now(), meetingTime) {
		sleep(ctx, next.Sub(s.client.Now()))
		if ctx.Err() == nil {
			outcome(brokenOr(probe.Meet(ctx, s.client)))
		}
	}
}

// nextMeeting is the next time that all replicas whose clocks agree to a few seconds agree on.
func nextMeeting(now time.Time, every time.Duration) time.Time {
	return now.Truncate(every).Add(every + meetingDelay)
}
