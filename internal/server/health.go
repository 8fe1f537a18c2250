package server

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Times of the readiness check.
const (
	probeInterval = time.Second
	probeTimeout  = 5 * time.Second
	unreadyAfter  = 4500 * time.Millisecond // without an answer of the store: load balancers notice within a second or so
)

// health answers the endpoints that load balancers and Kubernetes ask. Safe for concurrent use.
type health struct {
	started  atomic.Bool            // every store was opened
	draining atomic.Bool            // SIGTERM came
	refused  atomic.Value           // string: why the store was refused after the start
	config   atomic.Pointer[string] // what came of the last new configuration; nil: there was none
	seen     atomic.Int64           // when the store answered last, by this process's monotonic clock
	born     time.Time

	// served is how long ago every store did what somebody asked it for; nil when that is not known.
	served func() time.Duration
}

func newHealth() *health { return &health{born: time.Now()} }

// answered notes that the store answered.
func (h *health) answered() { h.seen.Store(int64(time.Since(h.born))) }

// silentFor is how long the store has not answered, neither the watch nor anybody else.
func (h *health) silentFor() time.Duration {
	silent := time.Since(h.born) - time.Duration(h.seen.Load())
	if h.served == nil {
		return silent
	}
	return min(silent, h.served())
}

// watch asks the store every probeInterval until ctx ends, and does not wait for one answer before it asks again. One late answer
// changes nothing: readiness goes after unreadyAfter without any, and comes back with the first.
func (h *health) watch(ctx context.Context, probe func(context.Context) error) {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	var probes sync.WaitGroup
	defer probes.Wait()
	for {
		probes.Go(func() {
			probeCtx, cancel := context.WithTimeout(ctx, probeTimeout)
			defer cancel()
			if probe(probeCtx) == nil {
				h.answered()
			}
		})
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// state is what /readyz says, and with which status. 404 while draining is what HAProxy's disable-on-404
// understands: no new work, running work ends.
func (h *health) state() (status int, text string) {
	switch {
	case h.draining.Load():
		return http.StatusNotFound, "draining"
	case !h.started.Load():
		return http.StatusServiceUnavailable, "starting: the store has not answered yet"
	case h.refused.Load() != nil:
		return http.StatusServiceUnavailable, "the store was refused: " + h.refused.Load().(string)
	case h.silentFor() > unreadyAfter:
		return http.StatusServiceUnavailable, "the store is out of reach"
	}
	return http.StatusOK, "ready"
}

// configuration is what /readyz?verbose says of the configuration. Anybody may read it: the log has the details.
func (h *health) configuration() string {
	if text := h.config.Load(); text != nil {
		return *text
	}
	return "as at the start"
}

// register adds /livez, /readyz and /startupz.
func (h *health) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeHealth(w, http.StatusOK, "alive")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		status, text := h.state()
		if r.URL.Query().Has("verbose") {
			writeHealth(w, status, text, "configuration", h.configuration())
			return
		}
		writeHealth(w, status, text)
	})
	mux.HandleFunc("GET /startupz", func(w http.ResponseWriter, _ *http.Request) {
		if !h.started.Load() {
			writeHealth(w, http.StatusServiceUnavailable, "starting: the store has not answered yet")
			return
		}
		writeHealth(w, http.StatusOK, "started")
	})
}

// writeHealth answers with a status, and more names and texts.
func writeHealth(w http.ResponseWriter, status int, text string, more ...string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	w.WriteHeader(status)
	body := map[string]string{"status": text}
	for i := 0; i+1 < len(more); i += 2 {
		body[more[i]] = more[i+1]
	}
	_ = json.NewEncoder(w).Encode(body) // a prober that is gone needs no answer
}
