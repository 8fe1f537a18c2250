package operate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect"
	"holdfast/internal/collect/scrub"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/lease"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// inMemory is a store at a path.
func inMemory(t *testing.T, path string, collects bool) Store {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := Store{
		Path: path, Records: format.Store{Records: recordmem.New(recordmem.Config{}), Ages: format.DefaultAges()}, Data: datamem.New(datamem.Config{}),
		Holder: "test:1", Collects: collects, Log: log, Counters: &scrub.Counters{},
	}
	var err error
	if s.Registry, err = registry.New(t.Context(), s.Records.Records, s.Data, registry.Config{}, log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Registry.Close)
	s.Collector = func(dryRun bool) *collect.Collector {
		return collect.New(s.Registry, s.Records, s.Data, collect.Config{DryRun: dryRun}, log)
	}
	return s
}

// waste leaves a blob behind that nobody has.
func waste(t *testing.T, s Store, repo oci.Repository, content string) {
	t.Helper()
	d := digest.FromString(content)
	if err := s.Registry.PushBlob(t.Context(), repo, d, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	if err := s.Registry.DeleteBlob(t.Context(), repo, d); err != nil {
		t.Fatal(err)
	}
}

func TestStores(t *testing.T) {
	stores := []Store{{Path: "/"}, {Path: "/a"}, {Path: "/a/b"}}
	for repo, want := range map[oci.Repository]string{"a": "/a", "a/c": "/a", "ab": "/", "a/b": "/a/b", "a/b/c": "/a/b", "a/bc": "/a", "c": "/"} {
		if got := storeOf(stores, repo).Path; got != want {
			t.Errorf("%s is in %s, want %s", repo, got, want)
		}
	}
	for _, row := range []struct {
		r    Request
		want string // paths, or what is wrong
	}{
		{Request{}, "/ /a /a/b"},
		{Request{Store: "/"}, "/"},
		{Request{Store: "a/b/"}, "/a/b"},
		{Request{Store: "/c"}, "there is no store for /c"},
		{Request{Repository: "a/b/c"}, "/a/b"},
		{Request{Repository: "a/b/c", Store: "/a/b"}, "/a/b"},
		{Request{Repository: "a/b/c", Store: "/a"}, "repository a/b/c is in the store /a/b, not in /a"},
	} {
		j := &job{Request: row.r, stores: stores}
		err := j.choose()
		var got []string
		for _, s := range j.stores {
			got = append(got, s.Path)
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if text != row.want {
			t.Errorf("%+v: %s, want %s", row.r, text, row.want)
		}
	}
}

func TestGCOfSeveralStores(t *testing.T) {
	stores := []Store{inMemory(t, "/", true), inMemory(t, "/a", false), inMemory(t, "/b", true)}
	passes := 0
	for i := range stores {
		waste(t, stores[i], "x", "useless")
		stores[i].Passed = func(context.Context, *collect.Report) { passes++ }
	}
	if _, err := lease.Take(t.Context(), stores[0].Records, collect.LeaseName, "replica-2:1", 0); err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	code, err := Do(t.Context(), stores, Request{Do: GC, JSON: true}, &out, &progress)
	var held *lease.HeldError
	if code != Unavailable || !errors.As(err, &held) {
		t.Errorf("code %d: %v", code, err)
	}
	var got []struct {
		Store, Error string
		Report       *collect.Report
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if len(got) != 2 || got[0].Report != nil || !strings.Contains(got[0].Error, "replica-2:1") || got[1].Store != "/b" || got[1].Report.FreedBytes() != 7 || passes != 1 {
		t.Errorf("%d passes; it prints %s", passes, out.String())
	}
	if !strings.Contains(progress.String(), "/a is left alone") {
		t.Errorf("it says %q", progress.String())
	}
	out.Reset()
	if code, err := Do(t.Context(), stores, Request{Do: GC, Store: "/a"}, &out, nil); code != Well || err != nil || !strings.Contains(out.String(), "blobs") || passes != 2 {
		t.Errorf("the one that is named: code %d: %v: %s", code, err, out.String())
	}
}

// failing is a record store whose lists fail.
type failing struct {
	record.Store
	err error
}

func (s failing) Get(context.Context, record.Key) (record.Record, error) {
	return record.Record{}, s.err
}

func TestOutcomes(t *testing.T) {
	for name, row := range map[string]struct {
		r    Request
		err  error // of the store
		code int
	}{
		"unknown work":      {Request{Do: "dance"}, nil, Misused},
		"unavailable":       {Request{Do: GC}, fmt.Errorf("a driver: %w", record.ErrUnavailable), Unavailable},
		"another error":     {Request{Do: GC}, errors.New("damaged"), Bad},
		"recent repository": {Request{Do: GC, Recent: true, Repository: "a"}, nil, Misused},
		"no tag":            {Request{Do: History, Repository: "a"}, nil, Misused},
		"no repository":     {Request{Do: History, Tag: "a"}, nil, Misused},
		"no such tag":       {Request{Do: History, Repository: "a", Tag: "a"}, nil, Bad},
		"long token":        {Request{Do: Token, For: "admin", TTL: 1 << 60}, nil, Misused},
		"nothing to do":     {Request{Do: Fsck}, nil, Well},
	} {
		t.Run(name, func(t *testing.T) {
			s := inMemory(t, "/", true)
			if row.err != nil {
				s.Records.Records = failing{s.Records.Records, row.err}
				s.Collector = func(dryRun bool) *collect.Collector {
					return collect.New(s.Registry, s.Records, s.Data, collect.Config{DryRun: dryRun}, s.Log)
				}
			}
			var out bytes.Buffer
			code, err := Do(t.Context(), []Store{s}, row.r, &out, nil)
			if code != row.code || (err == nil) != (row.code == Well) {
				t.Errorf("code %d, want %d: %v", code, row.code, err)
			}
		})
	}
}

// TestInterrupted: work whose context has ended does nothing, says so, and leaves no lease.
func TestInterrupted(t *testing.T) {
	for _, op := range []Op{GC, Scrub, Fsck} {
		s := inMemory(t, "/", true)
		waste(t, s, "a", "useless")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var out bytes.Buffer
		if code, err := Do(ctx, []Store{s}, Request{Do: op}, &out, nil); code == Well || err == nil {
			t.Errorf("%s: code %d: %v", op, code, err)
		}
		for _, name := range []string{collect.LeaseName, scrub.Lease} {
			if seen, err := lease.Look(t.Context(), s.Records, name, 0); err != nil || seen.Held {
				t.Errorf("%s: lease %s: %+v %v", op, name, seen, err)
			}
		}
	}
}
