package quota_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/data"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/quota"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// site is one store with its replicas.
type site struct {
	t        *testing.T
	records  record.Store
	segments data.Store
}

func inMemory(t *testing.T) *site {
	return &site{t: t, records: recordmem.New(recordmem.Config{}), segments: datamem.New(datamem.Config{})}
}

func (s *site) values() format.Store {
	return format.Store{Records: s.records, Ages: format.DefaultAges()}
}

// replica is a registry with the book of its replica.
type replica struct {
	registry.Registry
	book *quota.Book
	asks *asks
	stop func() // a clean end
	kill func() // without one
}

// replica starts one. Without running, nothing is done beside requests.
func (s *site) replica(running bool, limits ...quota.Limit) *replica {
	s.t.Helper()
	asked := &asks{Store: s.records}
	values := s.values()
	values.Records = asked
	log := slog.New(slog.DiscardHandler)
	book := quota.Open(values, quota.Config{Holder: "a test", Limits: limits, Enforce: true}, log)
	local, err := registry.New(s.t.Context(), asked, s.segments, registry.Config{Scales: book}, log)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if running {
			book.Run(ctx)
		}
	}()
	over := false
	r := &replica{Registry: quota.New(local, book), book: book, asks: asked}
	r.kill = func() {
		cancel()
		<-ended
		local.Close()
		over = true
	}
	r.stop = func() {
		r.kill()
		if err := book.Close(context.WithoutCancel(s.t.Context())); err != nil {
			s.t.Error(err)
		}
	}
	s.t.Cleanup(func() {
		if !over {
			r.kill()
		}
	})
	return r
}

// counted counts by a book of its own what a prefix holds, by the store alone.
func (s *site) counted(prefix string) format.Load {
	s.t.Helper()
	got, err := quota.Count(s.t.Context(), s.values(), prefix)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// asks counts the requests to a record store.
type asks struct {
	record.Store
	n atomic.Int64
}

func (a *asks) Get(ctx context.Context, key record.Key) (record.Record, error) {
	a.n.Add(1)
	return a.Store.Get(ctx, key)
}

func (a *asks) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	a.n.Add(1)
	return a.Store.Put(ctx, key, value, cond)
}

func (a *asks) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	a.n.Add(1)
	return a.Store.List(ctx, prefix, after)
}

// push pushes a new blob of some size.
func push(ctx context.Context, r registry.Registry, repo oci.Repository, size int) (oci.Digest, error) {
	body := make([]byte, size)
	_, _ = rand.Read(body)
	d := digest.FromBytes(body)
	return d, r.PushBlob(ctx, repo, d, bytes.NewReader(body), int64(size))
}

// manifest pushes an image of some blobs of equal size.
func manifest(ctx context.Context, r registry.Registry, repo oci.Repository, tag oci.Tag, size int, blobs ...oci.Digest) (*registry.Pushed, int64, error) {
	var layers []string
	for _, d := range blobs {
		layers = append(layers, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":%d}`, d, size))
	}
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}`, layers[0], strings.Join(layers[1:], ","))
	pushed, err := r.PushManifest(ctx, repo, registry.Push{ContentType: "application/vnd.oci.image.manifest.v1+json", Body: []byte(body), Tags: []oci.Tag{tag}})
	return pushed, int64(len(body)), err
}

func full(err error) bool { return errors.Is(err, oci.ErrDenied) }

// endless is a body without an end.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.read += int64(len(p))
	return len(p), nil
}

var _ io.Reader = (*endless)(nil)
