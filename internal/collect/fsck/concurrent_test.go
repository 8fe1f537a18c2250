package fsck_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/collect/fsck"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// worker does what clients do, at any replica, to a few names, so that workers meet.
type worker struct {
	*site
	refused *sync.Map // digests of manifests whose last push was refused: they may be there, and not among their subject's referrers
	rand    *rand.Rand
	done    int // steps
}

func (w *worker) at() *registry.Local { return w.replicas[w.rand.IntN(len(w.replicas))] }

func (w *worker) repo() oci.Repository { return repositories()[w.rand.IntN(2)] }

func (w *worker) tag() oci.Tag { return oci.Tag(fmt.Sprintf("t%d", w.rand.IntN(3))) }

// content is new to all of them again and again.
func (w *worker) content() string { return fmt.Sprintf("content %d", w.done/50+w.rand.IntN(4)) }

// expected reports whether a client that shares its names with others may be answered so.
func expected(err error) bool {
	var refused *oci.Error
	var several oci.Errors
	return err == nil || errors.As(err, &refused) || errors.As(err, &several) || errors.Is(err, registry.ErrNotMounted)
}

func (w *worker) step() error {
	repo, content := w.repo(), w.content()
	d := digest.FromString(content)
	push := func(body []byte, tags ...oci.Tag) error {
		_, err := w.at().PushManifest(w.ctx(), repo, registry.Push{Body: body, Tags: tags})
		if d := digest.FromBytes(body); err != nil {
			w.refused.Store(d, true)
		} else {
			w.refused.Delete(d)
		}
		return err
	}
	plain := image(blobRef(content), "", blobRef(w.content()))
	signature := image(blobRef(content), imageRef(plain))
	w.done++
	switch w.rand.IntN(14) {
	case 0, 1, 2:
		return w.at().PushBlob(w.ctx(), repo, d, strings.NewReader(content), int64(len(content)))
	case 3:
		up, err := w.at().StartUpload(w.ctx(), repo, digest.SHA256)
		if err == nil {
			up, err = w.at().AppendUpload(w.ctx(), repo, up.ID, registry.Chunk{Start: -1, Size: 4, Body: strings.NewReader(content[:4])})
		}
		if err != nil || w.rand.IntN(4) == 0 {
			return err
		}
		return w.at().CommitUpload(w.ctx(), repo, up.ID, d, registry.Chunk{Start: -1, Size: int64(len(content) - 4), Body: strings.NewReader(content[4:])})
	case 4:
		return w.at().MountBlob(w.ctx(), repo, d, registry.Source{})
	case 5, 6:
		return push(plain, w.tag(), w.tag()+"x")
	case 7:
		return push(signature)
	case 8:
		return push(index(imageRef(plain), imageRef(signature)), w.tag())
	case 9:
		return w.at().DeleteTag(w.ctx(), repo, w.tag())
	case 10:
		return w.at().DeleteManifest(w.ctx(), repo, digest.FromBytes([][]byte{plain, signature}[w.rand.IntN(2)]))
	case 11, 12:
		return w.at().DeleteBlob(w.ctx(), repo, d)
	default:
		return w.collect(d)
	}
}

// collect collects a digest, as the protocol says: PROTOCOL, "One digest". A lost race ends it.
func (w *worker) collect(d oci.Digest) error {
	key := format.BlobKey(d)
	held, err := w.held(d)
	if err != nil || held {
		return err
	}
	rec, err := format.Read[format.Blob](w.ctx(), w.store, key)
	if err != nil || !rec.Is(format.Live, format.Condemned, format.Doomed) {
		return err
	}
	if rec.Is(format.Live) {
		if rec, err = format.Swap(w.ctx(), w.store, key, rec, format.Condemned); err != nil {
			return unlessLost(err)
		}
	}
	if rec.Is(format.Condemned) {
		to := format.Doomed
		if held, err = w.held(d); err != nil {
			return err
		} else if held {
			to = format.Live
		}
		if rec, err = format.Swap(w.ctx(), w.store, key, rec, to); err != nil || held {
			return unlessLost(err)
		}
	}
	for _, s := range rec.Head.Segments {
		if err := w.data.Delete(w.ctx(), s.ID); err != nil {
			return err
		}
	}
	head := format.Blob{}
	head.State = format.Dead
	_, err = format.Write(w.ctx(), w.store, key, rec, head, nil, false)
	return unlessLost(err)
}

func unlessLost(err error) error {
	if format.IsConflict(err) {
		return nil
	}
	return err
}

// held reports whether a link holds a digest.
func (w *worker) held(d oci.Digest) (bool, error) {
	for entry, err := range w.records.List(w.ctx(), format.LinkPrefix(d), "") {
		if err != nil {
			return false, err
		}
		link, err := format.Read[format.Link](w.ctx(), w.store, entry.Key)
		if err != nil || link.Is(format.Pending, format.Live, format.Condemned) {
			return true, err
		}
	}
	return false, nil
}

// However clients race, a check that runs meanwhile finds nothing, also one that mends; and when they have ended nothing is left but what a
// push that was refused, or the delete of an index' child, leaves.
func TestNothingIsFoundUnderLoad(t *testing.T) {
	s := newSite(t)
	var ended atomic.Bool
	var checks errgroup.Group
	var runs, inFlight atomic.Int64
	checks.Go(func() error {
		defer ended.Store(true)
		for !ended.Load() {
			r, err := fsck.Run(s.ctx(), s.store, s.data, fsck.Config{Pause: -1, Repair: runs.Load()%2 == 1})
			if err != nil {
				return err
			}
			runs.Add(1)
			inFlight.Add(r.InFlight)
			if len(r.Findings)+len(r.Repaired) > 0 {
				var out bytes.Buffer
				return errors.Join(r.WriteTable(&out), errors.New(out.String()))
			}
		}
		return nil
	})
	var clients errgroup.Group
	var refused sync.Map
	for n := range uint64(6) {
		clients.Go(func() error {
			w := &worker{site: s, refused: &refused, rand: rand.New(rand.NewPCG(1, n))}
			for range 300 {
				if err := w.step(); !expected(err) {
					return err
				}
			}
			return nil
		})
	}
	err := clients.Wait()
	ended.Store(true)
	if err := errors.Join(err, checks.Wait()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d checks, %d suspicions that were none", runs.Load(), inFlight.Load())
	if runs.Load() == 0 {
		t.Error("no check ended")
	}
	s.clock.pass(2 * time.Hour)
	for _, f := range s.run(fsck.Config{Offline: true}).Findings {
		if f.Severity == fsck.Waste || strings.Contains(f.Detail, "child") {
			continue
		}
		_, rest, _ := strings.Cut(f.Detail, "does not list ")
		listed, _, _ := strings.Cut(rest, ",")
		if _, ok := refused.Load(digest.Digest(listed)); ok && f.Kind == fsck.ReferrerMissing {
			continue // all that it refers to came back after its push was refused
		}
		t.Errorf("left: %s %v: %s", f.Kind, f.Keys, f.Detail)
	}
}
