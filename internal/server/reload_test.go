package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/collect/retain"
	"holdfast/internal/observe/metrics"
)

// get has the server answer one request, without a listener.
func (h *house) get(method, path, body string) *httptest.ResponseRecorder {
	h.t.Helper()
	rec := httptest.NewRecorder()
	h.s.handler(nil).ServeHTTP(rec, httptest.NewRequestWithContext(h.t.Context(), method, path, strings.NewReader(body)))
	return rec
}

func TestReloadWhileServing(t *testing.T) {
	h := inMemory(t, Storage{})
	h.s.begin(t.Context())
	var next Config
	var wrong error
	h.s.cfg.Host.Source.Load = func(context.Context) (Config, error) { return next, wrong }
	const tag = "/v2/a/manifests/latest"
	if got := h.get(http.MethodDelete, tag, "").Code; got != http.StatusNotFound {
		t.Fatalf("DELETE = %d at the start", got)
	}
	next = h.s.cfg
	next.NoDelete, next.Storage.MaxBlobBytes, next.Address = true, 3, "elsewhere:1"
	h.s.again(t.Context(), "test")
	if got := h.get(http.MethodDelete, tag, "").Code; got != http.StatusMethodNotAllowed {
		t.Errorf("DELETE = %d where deletes are off now", got)
	}
	const push = "/v2/a/blobs/uploads/?digest=sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" // of foo
	if got := h.get(http.MethodPost, push, "food").Code; got != http.StatusRequestEntityTooLarge {
		t.Errorf("a blob of 4 bytes = %d where 3 are allowed now", got)
	}
	said := h.get(http.MethodGet, "/readyz?verbose", "").Body.String()
	if !strings.Contains(said, "needs a restart: http.address, http.port") || len(h.log.having("needs a restart", "http.address")) != 1 {
		t.Errorf("of the address it says %s", said)
	}

	wrong = errors.New("config: storage: has a secret mistake")
	next = Config{}
	h.s.again(t.Context(), "test")
	if got := h.get(http.MethodDelete, tag, "").Code; got != http.StatusMethodNotAllowed {
		t.Errorf("DELETE = %d after a configuration with a mistake", got)
	}
	said = h.get(http.MethodGet, "/readyz?verbose", "").Body.String()
	if !strings.Contains(said, "a new one was refused") || strings.Contains(said, "secret mistake") || len(h.log.having("refused", "secret mistake")) != 1 {
		t.Errorf("of the mistake it says %s", said)
	}
	if got := h.get(http.MethodGet, "/readyz", "").Body.String(); strings.Contains(got, "configuration") {
		t.Errorf("/readyz says %s", got)
	}
	counted := h.get(http.MethodGet, "/metrics", "").Body.String()
	for _, line := range []string{`holdfast_config_reloads_total{outcome="applied"} 1`, `holdfast_config_reloads_total{outcome="refused"} 1`, "holdfast_config_last_reload_successful 0"} {
		if !strings.Contains(counted, line) {
			t.Errorf("the metrics do not say %s", line)
		}
	}
}

// A configuration that comes while the store is out of reach is the one that it is opened by.
func TestReloadBeforeTheStoreIsOpen(t *testing.T) {
	h := inMemory(t, Storage{})
	opened := h.s.stores
	h.s.stores = nil
	h.s.begin(t.Context())
	h.s.cfg.Host.Source.Load = func(context.Context) (Config, error) {
		next := h.s.cfg
		next.NoDelete, next.Storage.MaxBlobBytes = true, 3
		return next, nil
	}
	h.s.again(t.Context(), "test")
	h.s.metrics = metrics.New("test")
	if err := h.s.use(t.Context(), opened); err != nil {
		t.Fatal(err)
	}
	if got := h.get(http.MethodDelete, "/v2/a/manifests/latest", "").Code; got != http.StatusMethodNotAllowed {
		t.Errorf("DELETE = %d", got)
	}
}

// What the collector needs is noted from the start, also when a configuration that does not need it came before the store could be opened: the next may need it again.
func TestRulesThatComeBackAfterALateOpening(t *testing.T) {
	pulls := retain.Policies{{KeepTags: []retain.KeepTags{{Rules: retain.Rules{PulledWithin: time.Hour}}}}}
	with := Collection{Enabled: true, Policies: pulls}
	cfg := Config{Storage: Storage{Dir: t.TempDir(), Collect: with}, SubPaths: map[string]Storage{"/sub": {Dir: t.TempDir(), Collect: with}}}
	s := &Server{cfg: cfg, log: slog.New(slog.DiscardHandler), health: newHealth(), metrics: metrics.New("test")}
	s.begin(t.Context())
	next := cfg
	next.Storage.Collect = Collection{}
	next.Storage.MaxBlobBytes = 3
	next.SubPaths = map[string]Storage{"/sub": {Dir: cfg.SubPaths["/sub"].Dir}}
	s.cfg.Host.Source.Load = func(context.Context) (Config, error) { return next, nil }
	s.again(t.Context(), "test")
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, st := range s.stores {
			if st.pulls != nil {
				_ = st.pulls.Close(context.Background())
			}
			_ = st.close(context.Background())
		}
	})
	shown := func() (collected []bool) {
		v, err := newDesk(s.stores).View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range v.Stores {
			collected = append(collected, st.Collector.Enabled)
		}
		return collected
	}
	if got := shown(); !slices.Equal(got, []bool{false, false}) {
		t.Errorf("collected: %v, where gc is off", got)
	}
	next = cfg
	s.again(t.Context(), "test")
	if got := shown(); !slices.Equal(got, []bool{true, true}) {
		t.Errorf("collected: %v, where gc is on again", got)
	}
	for _, st := range s.stores {
		if !st.rules().Policies.NeedPullTimes() || st.pulls == nil || st.hints == nil {
			t.Errorf("%s: goes by pulls: %t, notes pulls: %t, writes hints: %t", st.path, st.rules().Policies.NeedPullTimes(), st.pulls != nil, st.hints != nil)
		}
	}
}

func TestChangesServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c changes
		c.tell() // nobody waits
		ctx, cancel := context.WithCancel(t.Context())
		var begun, cut atomic.Int32
		go c.serve(ctx, func(ctx context.Context) {
			if begun.Add(1) == 2 {
				return // nothing to do: it waits for a change
			}
			<-ctx.Done()
			cut.Add(1)
		})
		for _, want := range [][2]int32{{1, 0}, {2, 1}, {3, 1}} {
			synctest.Wait()
			if got := [2]int32{begun.Load(), cut.Load()}; got != want {
				t.Errorf("begun and cut %v, want %v", got, want)
			}
			c.tell()
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		if begun.Load() != 4 || cut.Load() != 3 {
			t.Errorf("begun %d, cut %d", begun.Load(), cut.Load())
		}
	})
}
