package drills

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"holdfast/internal/collect"
	"holdfast/internal/collect/fsck"
	"holdfast/internal/data"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/format"
	"holdfast/internal/record"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/registry"
	"holdfast/internal/s3"
	"holdfast/internal/s3/probe"
	"holdfast/test/cluster"
)

// The ages of a registry that collects while a drill lasts: all are divided, and no further, for the shortest of them is 5 s then.
const (
	divisor = 120
	grace   = time.Hour / divisor // gcDelay is an hour
)

func dividedAges() format.Ages {
	a := format.DefaultAges()
	a.Grace = time.Hour
	return a.Divided(divisor)
}

// place says where a bucket is.
type place struct {
	Endpoint, Bucket string
	Ahead            time.Duration // of the store's clock
}

// bucket is a cluster's bucket, opened beside its replicas with the same ages.
type bucket struct {
	values    format.Store
	segments  data.Store
	registry  *registry.Local
	collector *collect.Collector
	client    *s3.Client
	budget    *datas3.Budget
}

func openBucket(ctx context.Context, p place, log *slog.Logger) (*bucket, error) {
	budget, err := datas3.NewBudget(64 << 20)
	if err != nil {
		return nil, err
	}
	client, err := s3.New(ctx, s3.Config{
		Endpoint: p.Endpoint, Region: cluster.Region, Bucket: p.Bucket, RootDirectory: "/zot", AccessKey: cluster.AccessKey,
		SecretKey: cluster.SecretKey, Insecure: true,
	}, log)
	if err != nil {
		return nil, errors.Join(err, budget.Close())
	}
	b := &bucket{client: client, budget: budget}
	if _, err := probe.Ensure(ctx, client, "drill"); err != nil {
		return nil, errors.Join(err, b.close())
	}
	b.values = format.Store{Records: ahead{records3.New(client, ""), p.Ahead}, Ages: dividedAges()}
	b.segments = datas3.New(client, "", budget)
	if b.registry, err = registry.New(ctx, b.values.Records, b.segments, registry.Config{Ages: b.values.Ages}, log); err != nil {
		return nil, errors.Join(err, b.close())
	}
	b.collector = collect.New(b.registry, b.values, b.segments, collect.Config{}, log)
	return b, nil
}

func (b *bucket) close() error {
	if b.registry != nil {
		b.registry.Close()
	}
	b.client.Close()
	return b.budget.Close()
}

// ahead is a store whose clock is ahead, as for somebody who comes later.
type ahead struct {
	record.Store
	by time.Duration
}

// Now implements record.Store.
func (s ahead) Now() time.Time { return s.Store.Now().Add(s.by) }

// Put implements record.Store: what is written now is written then.
func (s ahead) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	stamp, err := s.Store.Put(ctx, key, value, cond)
	stamp.Modified = stamp.Modified.Add(s.by)
	return stamp, err
}

// pass makes a full pass without asking for the lease, as a replica does that slept while another took it.
func (b *bucket) pass(ctx context.Context) (*collect.Report, error) {
	return b.collector.Pass(ctx, collect.Progress{Full: true}, nil)
}

// stored is the sum of the sizes of all segments.
func (b *bucket) stored(ctx context.Context) (segments, bytes int64, err error) {
	for entry, err := range b.segments.List(ctx, "") {
		if err != nil {
			return 0, 0, err
		}
		segments++
		bytes += entry.Size
	}
	return segments, bytes, nil
}

func (b *bucket) check(ctx context.Context) (*fsck.Report, error) {
	return fsck.Run(ctx, b.values, b.segments, fsck.Config{Pause: time.Second})
}
