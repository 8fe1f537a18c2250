package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/access/authn"
	"holdfast/internal/collect/retain"
	"holdfast/internal/data"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/observe/metrics"
	"holdfast/internal/observe/stores"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// house is a server over stores in memory, without a listener.
type house struct {
	t   testing.TB
	s   *Server
	log *lines
}

// lines is a log to look into.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

// having returns the lines that have all texts.
func (l *lines) having(texts ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for _, line := range strings.Split(l.all.String(), "\n") {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

func newHouse(t testing.TB, records record.Store, segments data.Store, cfg Storage) *house {
	t.Helper()
	return newHouseWith(t, records, segments, cfg, &store{})
}

// newHouseWith is newHouse over a store that has some of its parts.
func newHouseWith(t testing.TB, records record.Store, segments data.Store, cfg Storage, st *store) *house {
	t.Helper()
	h := &house{t: t, log: &lines{}}
	log := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.s = &Server{cfg: Config{MetricsPath: "/metrics", Storage: cfg}, log: log, health: newHealth(), metrics: metrics.New("test")}
	h.s.failures = authn.NewFailures(nil)
	st.path, st.name, st.cfg, st.segments = "/", "memory", cfg, segments
	st.records = stores.Observers{&st.calls}.Records(stores.Bolt, records)
	if err := st.join(t.Context(), h.s.asReplica(), log); err != nil {
		t.Fatal(err)
	}
	if err := st.openRegistry(t.Context(), true, log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.close(context.Background()) })
	if err := h.s.use(t.Context(), []*store{st}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.s.door.Load().end)
	return h
}

func inMemory(t testing.TB, cfg Storage) *house {
	t.Helper()
	return newHouse(t, recordmem.New(recordmem.Config{}), datamem.New(datamem.Config{}), cfg)
}

func (h *house) registry() *registry.Local { return h.s.stores[0].registry }

func (h *house) blob(repo oci.Repository, content string) oci.Digest {
	h.t.Helper()
	d := digest.FromString(content)
	if _, err := h.registry().StatBlob(h.t.Context(), repo, d); err == nil {
		return d // as clients do
	}
	if err := h.registry().PushBlob(h.t.Context(), repo, d, strings.NewReader(content), int64(len(content))); err != nil {
		h.t.Fatal(err)
	}
	return d
}

func (h *house) image(repo oci.Repository, tag oci.Tag, layer string) {
	h.t.Helper()
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a/b","digest":%q,"size":2},"layers":[{"mediaType":"a/b","digest":%q,"size":%d}]}`,
		oci.MediaTypeImageManifest, h.blob(repo, "{}"), h.blob(repo, layer), len(layer))
	if _, err := h.registry().PushManifest(h.t.Context(), repo, registry.Push{Body: []byte(body), Tags: []oci.Tag{tag}}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) bytes() (sum int64) {
	h.t.Helper()
	for entry, err := range h.s.stores[0].segments.List(h.t.Context(), "") {
		if err != nil {
			h.t.Fatal(err)
		}
		sum += entry.Size
	}
	return sum
}

func (h *house) scrape() string {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.s.handler(nil).ServeHTTP(w, httptest.NewRequestWithContext(h.t.Context(), http.MethodGet, "/metrics", nil))
	text, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		h.t.Fatalf("/metrics: %d %v", w.Code, err)
	}
	return string(text)
}

// TestServerCollects: what a tag named is freed a day after it was overwritten, by a pass that hints lead to; once, with one line in the
// log, and counted.
func TestServerCollects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := inMemory(t, Storage{Collect: Collection{Enabled: true, Interval: time.Hour}})
		working, stop := context.WithCancel(t.Context())
		house := h.s.keepHouse(working)
		h.image("a", "latest", "old layer")
		time.Sleep(2 * time.Hour) // the first pass is a full one
		h.image("a", "latest", "new")
		time.Sleep(23 * time.Hour)
		if got, want := h.bytes(), int64(len("{}old layernew")); got != want {
			t.Errorf("%d bytes within the grace, want %d", got, want)
		}
		time.Sleep(4 * time.Hour)
		if got, want := h.bytes(), int64(len("{}new")); got != want {
			t.Errorf("%d bytes after it, want %d", got, want)
		}
		if n := len(h.log.having(`"level":"INFO"`, "a collector's pass", `"bytes_freed":9`, `"full":false`, `"complete":true`)); n != 1 {
			t.Errorf("%d lines tell of it", n)
		}
		if lines := h.log.having(`"level":"INFO"`, "a collector's pass"); len(lines) > 3 {
			t.Errorf("passes that did nothing are told of: %s", lines)
		}
		metrics := h.scrape()
		for _, want := range []string{
			`holdfast_gc_freed_bytes_total{kind="blobs",store="/"} 9`, `holdfast_gc_freed_total{kind="manifests",store="/"} 1`,
			`holdfast_gc_passes_total{complete="true",full="true",store="/"} 1`, `holdfast_gc_hints_dropped_total{store="/"} 0`, "holdfast_gc_last_pass_timestamp_seconds",
			`,version="test"} 1`, `holdfast_scrub_rounds_total{store="/"} 0`,
		} {
			if !strings.Contains(metrics, want) {
				t.Errorf("the metrics have no %s", want)
			}
		}
		stop()
		if err := house.end(t.Context(), h.s.stores); err != nil {
			t.Error(err)
		}
		if lines := h.log.having(`"level":"WARN"`); len(lines) > 0 {
			t.Errorf("warned: %s", lines)
		}
	})
}

// TestHintsOfTheDrain: what requests leave behind while the server drains is noted before it ends.
func TestHintsOfTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := inMemory(t, Storage{Collect: Collection{Enabled: true, Interval: time.Hour}})
		working, stop := context.WithCancel(t.Context())
		house := h.s.keepHouse(working)
		stop()
		synctest.Wait()
		h.blob("a", "left behind")
		if err := h.registry().DeleteBlob(t.Context(), "a", digest.FromString("left behind")); err != nil {
			t.Fatal(err)
		}
		if err := house.end(t.Context(), h.s.stores); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, err := range h.s.stores[0].records.List(t.Context(), format.PrefixHints, "") {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		if n != 1 {
			t.Errorf("%d hints, want 1", n)
		}
	})
}

// stuck is a record store whose requests take for ever while it is closed.
type stuck struct {
	record.Store
	mu     sync.Mutex
	closed bool
}

func (s *stuck) set(closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = closed
}

func (s *stuck) Get(ctx context.Context, key record.Key) (record.Record, error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		<-ctx.Done()
		return record.Record{}, fmt.Errorf("%w: %w", record.ErrUnavailable, ctx.Err())
	}
	return s.Store.Get(ctx, key)
}

func (s *stuck) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if _, err := s.Get(ctx, key); err != nil && ctx.Err() != nil {
		return record.Stamp{}, err
	}
	return s.Store.Put(ctx, key, value, cond)
}

// TestEndDoesNotWaitForTheStore: a store that does not answer delays the end by no more than endTime.
func TestEndDoesNotWaitForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := &stuck{Store: recordmem.New(recordmem.Config{})}
		policy := retain.Policy{KeepTags: []retain.KeepTags{{Rules: retain.Rules{PulledWithin: time.Hour}}}}
		glob, err := retain.ParseGlob("**")
		if err != nil {
			t.Fatal(err)
		}
		policy.Repositories = []retain.Glob{glob}
		h := newHouse(t, records, datamem.New(datamem.Config{}), Storage{Collect: Collection{Enabled: true, Interval: time.Second, Policies: retain.Policies{policy}}})
		working, stop := context.WithCancel(t.Context())
		house := h.s.keepHouse(working)
		h.image("a", "latest", "layer")
		w := httptest.NewRecorder()
		h.s.handler(nil).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/a/manifests/latest", nil))
		if w.Code != http.StatusOK {
			t.Fatalf("a pull: %d", w.Code)
		}
		records.set(true)
		time.Sleep(30 * time.Second)
		stop()
		began := time.Now()
		if err := house.end(t.Context(), h.s.stores); err == nil {
			t.Error("it says that all is done")
		}
		if took := time.Since(began); took > endTime {
			t.Errorf("it took %s", took)
		}
		time.Sleep(time.Minute) // all that was cut off ends by itself
	})
}

// TestARefusedStoreIsLeftAlone: nothing is collected on a store that failed its self-test.
func TestARefusedStoreIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := inMemory(t, Storage{Collect: Collection{Enabled: true, Interval: time.Minute}})
		working, stop := context.WithCancel(t.Context())
		defer stop()
		house := h.s.keepHouse(working)
		h.s.judge(t.Context(), h.s.stores[0], ErrRefused)
		h.blob("a", "deleted")
		if err := h.registry().DeleteBlob(t.Context(), "a", digest.FromString("deleted")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(72 * time.Hour)
		if h.bytes() == 0 {
			t.Error("it was collected")
		}
		if err := house.end(t.Context(), h.s.stores); err != nil {
			t.Error(err)
		}
	})
}

// ending is a store that is out of reach when a process ends.
type ending struct {
	record.Store
	gone *atomic.Bool
}

func (e ending) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if e.gone.Load() {
		return record.Stamp{}, record.ErrUnavailable
	}
	return e.Store.Put(ctx, key, value, cond)
}

func (ending) Delete(context.Context, record.Key, record.Cond) error { return record.ErrUnavailable }

// TestEndWithAHeartbeatThatStays: a server, or a command, that has done everything ends well, and says what stays.
func TestEndWithAHeartbeatThatStays(t *testing.T) {
	var gone atomic.Bool
	h := newHouse(t, ending{recordmem.New(recordmem.Config{}), &gone}, datamem.New(datamem.Config{}), Storage{})
	gone.Store(true)
	if err := h.s.stores[0].close(t.Context()); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if got := h.log.having("WARN", "take this process for lost"); len(got) != 1 {
		t.Errorf("it says %q", got)
	}
}
