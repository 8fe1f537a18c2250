package collect

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/collect"
	"holdfast/internal/data"
	datamem "holdfast/internal/data/mem"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/registry"
	"holdfast/internal/s3/s3test"
)

// cost is what a full pass took.
type cost struct {
	Blobs, Manifests, Repositories int
	Requests                       map[string]int64
	Total                          int64
	Took                           time.Duration
	Peak                           int64 // of live memory above what was live before, in bytes
	Resident                       int64 // the process's peak, in bytes; 0 where it holds the store itself
}

func (c cost) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestCostIsLinear: with twice as many blobs a full pass makes twice as many requests, and no more.
func TestCostIsLinear(t *testing.T) {
	small, large := inMemory(t, 2000), inMemory(t, 4000)
	t.Logf("%s", small)
	t.Logf("%s", large)
	if ratio := float64(large.Total) / float64(small.Total); ratio > 2.05 || ratio < 1.9 {
		t.Errorf("%d requests, and %d with twice as many blobs", small.Total, large.Total)
	}
	if each := float64(large.Total) / float64(large.Blobs); each > 6.5 {
		t.Errorf("%.1f requests for each blob, half of which are useless", each)
	}
}

// TestCostOfChanges: a pass over what changed costs as much as the repositories that did, however many others there are.
func TestCostOfChanges(t *testing.T) {
	var before int64
	for _, blobs := range []int{1000, 8000} {
		records, segments := recordmem.New(recordmem.Config{}), datamem.New(datamem.Config{})
		var ahead atomic.Int64
		count := &counted{Store: movedOn{records, &ahead}, seen: map[string]int64{}}
		store := format.Store{Records: count, Ages: format.DefaultAges()}
		if _, err := fill(t.Context(), format.Store{Records: records, Ages: store.Ages}, segments, blobs, 1); err != nil {
			t.Fatal(err)
		}
		hints := collect.NewHints(format.Store{Records: records, Ages: store.Ages}, slog.New(slog.DiscardHandler))
		for _, repo := range []oci.Repository{"team3/app3", "team7/app7"} {
			hints.Changed(repo)
		}
		if err := hints.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		local, err := registry.New(t.Context(), records, segments, registry.Config{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ahead.Store(int64(25 * time.Hour))
		r, err := collect.New(local, store, countedData{segments, count}, collect.Config{}, slog.New(slog.DiscardHandler)).Pass(t.Context(), collect.Progress{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if freed := r.Counts[collect.KindBlobs]; freed == nil || freed.Freed != manifestsEach*blobsEach {
			t.Errorf("it freed %+v blobs, want %d", freed, manifestsEach*blobsEach)
		}
		var total int64
		for _, n := range count.seen {
			total += n
		}
		t.Logf("%d blobs: %d requests", blobs, total)
		if before > 0 && total != before {
			t.Errorf("%d requests, %d with fewer repositories that did not change", total, before)
		}
		before = total
	}
}

// movedOn is a store whose clock has moved on since it was filled.
type movedOn struct {
	record.Store
	by *atomic.Int64
}

func (m movedOn) Now() time.Time { return m.Store.Now().Add(time.Duration(m.by.Load())) }

func (m movedOn) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	stamp, err := m.Store.Put(ctx, key, value, cond)
	stamp.Modified = stamp.Modified.Add(time.Duration(m.by.Load()))
	return stamp, err
}

// TestCost measures a pass with as many blobs as HOLDFAST_COST says, in a bucket ("100000") or in memory ("mem:1000000").
func TestCost(t *testing.T) {
	text := os.Getenv("HOLDFAST_COST")
	if text == "" {
		text = "mem:1000"
	}
	number, inMem := strings.CutPrefix(text, "mem:")
	blobs, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("HOLDFAST_COST: %v", err)
	}
	if inMem {
		t.Logf("%s", inMemory(t, blobs))
		return
	}
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		if server.Name != "versitygw" {
			return // one is enough
		}
		budget, err := datas3.NewBudget(0)
		if err != nil {
			t.Fatal(err)
		}
		client := server.Client(t)
		t.Logf("%s", measure(t, records3.New(client, ""), datas3.New(client, "", budget), blobs, func(d time.Duration) { time.Sleep(d) }, 6*time.Second))
	})
}

func inMemory(t *testing.T, blobs int) cost {
	t.Helper()
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	return measure(t, recordmem.New(recordmem.Config{Clock: clock}), datamem.New(datamem.Config{Clock: clock}), blobs, func(d time.Duration) { ahead.Add(int64(d)) }, 24*time.Hour)
}

// measure fills a store, lets the grace pass, and makes a full pass.
func measure(t *testing.T, records record.Store, segments data.Store, blobs int, pass func(time.Duration), grace time.Duration) cost {
	t.Helper()
	ages := format.DefaultAges()
	if grace < time.Hour {
		ages = shortAges(grace)
	}
	ages.Grace = grace
	begin := time.Now()
	made, err := fill(t.Context(), format.Store{Records: records, Ages: ages}, segments, blobs, 16)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("filled with %d blobs in %s", made.blobs, time.Since(begin).Round(time.Millisecond))
	pass(grace + 2*time.Second)

	count := &counted{Store: records, seen: map[string]int64{}}
	store := format.Store{Records: count, Ages: ages}
	counting := countedData{segments, count}
	local, err := registry.New(t.Context(), count, counting, registry.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	peak := watchMemory()
	begin = time.Now()
	report, err := collect.New(local, store, counting, collect.Config{}, slog.New(slog.DiscardHandler)).Pass(t.Context(), collect.Progress{Full: true}, nil)
	took := time.Since(begin)
	if err != nil {
		t.Fatal(err)
	}
	if m, b := report.Counts[collect.KindManifests], report.Counts[collect.KindBlobs]; m == nil || b == nil || m.Freed != made.uselessManifests || b.Freed != made.uselessBlobs || b.FreedBytes != made.uselessBlobs*blobBytes {
		t.Errorf("it freed %+v manifests and %+v blobs, want %d and %d", m, b, made.uselessManifests, made.uselessBlobs)
	}
	c := cost{Blobs: made.blobs, Manifests: made.manifests, Repositories: made.repositories, Requests: count.seen, Took: took, Peak: peak(), Resident: resident()}
	for _, n := range count.seen {
		c.Total += n
	}
	return c
}

// shortAges lets a test see what is collected within seconds.
func shortAges(grace time.Duration) format.Ages {
	return format.Ages{
		Request: time.Minute, TagAfterManifest: grace, YoungManifest: grace, TouchManifest: grace, SessionDone: grace, Session: grace,
		Tombstone: time.Hour, Orphan: grace, Grace: grace,
	}
}

// watchMemory returns a function that says how much more live memory there was since than now, at most.
func watchMemory() func() int64 {
	live := func() int64 {
		runtime.GC()
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	debug.FreeOSMemory()
	before := live()
	var most atomic.Int64
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			most.Store(max(most.Load(), live()-before))
			select {
			case <-stop:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(stop)
		<-ended
		return most.Load()
	}
}

// resident is the peak of this process's resident memory, 0 where the system does not say.
func resident() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int64
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}

// counted counts requests as a bucket would see them: a list is one for each page of a thousand.
type counted struct {
	record.Store
	mu   sync.Mutex
	seen map[string]int64
}

func (c *counted) count(what string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[what] += n
}

func (c *counted) Get(ctx context.Context, key record.Key) (record.Record, error) {
	c.count("get", 1)
	return c.Store.Get(ctx, key)
}

func (c *counted) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	c.count("put", 1)
	return c.Store.Put(ctx, key, value, cond)
}

func (c *counted) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	c.count("delete", 1)
	return c.Store.Delete(ctx, key, cond)
}

func (c *counted) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	return pages(c, c.Store.List(ctx, prefix, after))
}

func pages[E any](c *counted, list iter.Seq2[E, error]) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		c.count("list", 1)
		n := 0
		for e, err := range list {
			if n++; n%1000 == 0 {
				c.count("list", 1)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

type countedData struct {
	data.Store
	c *counted
}

func (d countedData) Delete(ctx context.Context, id data.ID) error {
	d.c.count("delete segment", 1)
	return d.Store.Delete(ctx, id)
}

func (d countedData) List(ctx context.Context, after data.ID) iter.Seq2[data.Entry, error] {
	return pages(d.c, d.Store.List(ctx, after))
}
