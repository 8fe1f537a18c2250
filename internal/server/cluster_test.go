package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/cluster"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
)

// pair are two replicas over one store.
func pair(t *testing.T, records record.Store) (a, b *house) {
	t.Helper()
	segments := datamem.New(datamem.Config{})
	cfg := Storage{Collect: Collection{Enabled: true, Interval: time.Hour}}
	return newHouse(t, records, segments, cfg), newHouse(t, records, segments, cfg)
}

// keep is what a server does beside requests, until working ends.
func (h *house) keep(working context.Context) *housekeeping {
	go h.s.work(working)
	return h.s.keepHouse(working)
}

func (h *house) view(t *testing.T) cluster.View {
	t.Helper()
	w := h.ask(t.Context(), nil, http.MethodGet, clusterPath, h.token(time.Minute), "")
	var v cluster.View
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %v: %s", w.Code, err, w.Body)
	}
	return v
}

// TestClusterIsTheSameEverywhere: each replica shows all of them, what they do, and that one drains.
func TestClusterIsTheSameEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, recordmem.New(recordmem.Config{}))
		working, stop := context.WithCancel(t.Context())
		houses := []*housekeeping{a.keep(working), b.keep(working)}
		a.image("team/app", "latest", "layer")
		for range 30 {
			a.ask(t.Context(), nil, http.MethodGet, "/v2/team/app/manifests/latest", "", "")
			b.ask(t.Context(), nil, http.MethodGet, "/v2/team/app/manifests/nosuch", "", "")
		}
		time.Sleep(20 * time.Second)
		va, vb := a.view(t), b.view(t)
		if va.AnsweredBy != a.s.stores[0].member.ID() || vb.AnsweredBy != b.s.stores[0].member.ID() {
			t.Errorf("answered by %q and %q", va.AnsweredBy, vb.AnsweredBy)
		}
		vb.AnsweredBy = va.AnsweredBy
		one, _ := json.Marshal(va)
		other, _ := json.Marshal(vb)
		if string(one) != string(other) {
			t.Errorf("they differ:\n%s\n%s", one, other)
		}
		if !va.Well || len(va.Replicas) != 2 || va.Stores[0].Format != 1 || va.Stores[0].Collector == nil {
			t.Errorf("%s", one)
		}
		var total, refused int64
		for _, r := range va.Replicas {
			total, refused = total+r.Requests.Total, refused+r.Requests.ClientErrors
			if r.State != cluster.Ready || r.Store.Total == 0 {
				t.Errorf("%+v", r)
			}
		}
		if total != 60 || refused != 30 {
			t.Errorf("%d requests, %d of them refused", total, refused)
		}
		a.s.health.draining.Store(true)
		a.s.tellOthers()
		time.Sleep(3 * time.Second)
		states := map[cluster.State]int{}
		for _, r := range b.view(t).Replicas {
			states[r.State]++
		}
		if states[cluster.Draining] != 1 || states[cluster.Ready] != 1 {
			t.Errorf("while one drains: %v", states)
		}
		stop()
		for i, h := range []*house{a, b} {
			if err := houses[i].end(t.Context(), h.s.stores); err != nil {
				t.Error(err)
			}
		}
		if err := a.s.stores[0].leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if v := b.view(t); len(v.Replicas) != 1 {
			t.Errorf("one left: %+v", v.Replicas)
		}
	})
}

func TestClusterEndpoint(t *testing.T) {
	h := inMemory(t, Storage{})
	good := h.token(time.Minute)
	for _, row := range []struct {
		name, method, path, authorization string
		status                            int
		says                              string
	}{
		{"no token", "GET", clusterPath, "", 401, `"code":"UNAUTHORIZED"`},
		{"no token, events", "GET", eventsPath, "", 401, `"code":"UNAUTHORIZED"`},
		{"POST", "POST", clusterPath, good, 405, `"code":"UNSUPPORTED"`},
		{"HEAD, events", "HEAD", eventsPath, good, 405, ""},
		{"HEAD", "HEAD", clusterPath, good, 200, ""},
		{"GET", "GET", clusterPath, good, 200, `"replicas": [`},
	} {
		w := h.ask(t.Context(), nil, row.method, row.path, row.authorization, "")
		if w.Code != row.status || !strings.Contains(w.Body.String(), row.says) {
			t.Errorf("%s: %d, want %d and %q: %s", row.name, w.Code, row.status, row.says, w.Body)
		}
	}
	h.s.api.Store(nil)
	if w := h.ask(t.Context(), nil, http.MethodGet, clusterPath, good, ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("before the store is open: %d", w.Code)
	}
}

// deaf is a store that is stuck with its lists too.
type deaf struct{ *stuck }

func (d deaf) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		if _, err := d.Get(ctx, prefix+"x"); errors.Is(err, record.ErrUnavailable) {
			yield(record.Entry{}, err)
			return
		}
		d.Store.List(ctx, prefix, after)(yield)
	}
}

// watcher reads events of a replica.
type watcher struct {
	lines *bufio.Scanner
	ended chan struct{}
	w     *httptest.ResponseRecorder
}

func (h *house) watch(ctx context.Context, ending <-chan struct{}) *watcher {
	read, write := io.Pipe()
	w := &watcher{lines: bufio.NewScanner(read), ended: make(chan struct{}), w: httptest.NewRecorder()}
	w.lines.Buffer(nil, 1<<20)
	token := h.token(time.Hour)
	go func() {
		defer close(w.ended)
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, eventsPath, nil)
		r.Header.Set("Authorization", token)
		r.Header.Set("Last-Event-ID", "no id of ours")
		h.s.handler(ending).ServeHTTP(&piped{w.w, write}, r)
		_ = write.Close()
	}()
	return w
}

// piped is an answer that is read while it is written.
type piped struct {
	*httptest.ResponseRecorder
	to io.Writer
}

func (p *piped) Write(b []byte) (int, error) { return p.to.Write(b) }

// next returns the next event, "" at the end.
func (w *watcher) next(t *testing.T) (kind, data string) {
	t.Helper()
	for began := time.Now(); w.lines.Scan(); {
		if time.Since(began) > time.Hour {
			t.Fatal("no event for an hour")
		}
		line := w.lines.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			kind = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			data = line[len("data: "):]
		case line == "" && kind != "":
			return kind, data
		}
	}
	return "", ""
}

// TestEvents: a watcher is told how all is, and then what changes: that a replica drains and leaves, that a pass ends, that nothing can be seen, and that it can.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := deaf{&stuck{Store: recordmem.New(recordmem.Config{})}}
		a, b := pair(t, records)
		working, stop := context.WithCancel(t.Context())
		houses := []*housekeeping{a.keep(working), b.keep(working)}
		time.Sleep(time.Second)
		ending := make(chan struct{})
		w := b.watch(t.Context(), ending)
		kind, data := w.next(t)
		var v cluster.View
		if err := json.Unmarshal([]byte(data), &v); err != nil || kind != cluster.EventSnapshot || len(v.Replicas) != 2 {
			t.Fatalf("first comes %s %s: %v", kind, data, err)
		}
		want := func(changed, subject string) {
			t.Helper()
			for {
				kind, data := w.next(t)
				var u cluster.Update
				if err := json.Unmarshal([]byte(data), &u); err != nil || kind == "" {
					t.Fatalf("it ends before %s: %s %v", changed, kind, err)
				}
				for _, c := range u.Changes {
					if c.Kind == changed && (subject == "" || c.Subject == subject) {
						return
					}
				}
			}
		}
		want(cluster.ChangePassEnded, "/") // the first pass of the collector, after some seconds
		a.s.health.draining.Store(true)
		a.s.tellOthers()
		want(cluster.ChangeState, a.s.stores[0].member.ID())
		records.set(true)
		for kind = ""; kind != cluster.EventTrouble; {
			if kind, _ = w.next(t); kind == "" {
				t.Fatal("nobody says that the store does not answer")
			}
		}
		records.set(false)
		if kind, _ := w.next(t); kind != cluster.EventCluster {
			t.Errorf("when it answers again comes %s", kind)
		}
		close(ending)
		for kind != cluster.EventEnd && kind != "" {
			kind, _ = w.next(t)
		}
		if kind != cluster.EventEnd {
			t.Error("it ends without a word")
		}
		<-w.ended
		stop()
		for i, h := range []*house{a, b} {
			_ = houses[i].end(t.Context(), h.s.stores) // it was stuck for a while
		}
	})
}

// TestWatchEndsWithTheToken: who watches is let go when the token ends, and when it is revoked.
func TestWatchEndsWithTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := inMemory(t, Storage{})
		for _, after := range []struct {
			what string
			end  func()
		}{
			{"it was revoked", func() {
				if _, err := h.registry().RotateSecret(t.Context(), true); err != nil {
					t.Error(err)
				}
			}},
			{"an hour", func() { time.Sleep(time.Hour) }},
		} {
			ctx, leave := context.WithCancel(t.Context())
			w := h.watch(ctx, nil)
			if kind, _ := w.next(t); kind != cluster.EventSnapshot {
				t.Fatalf("first comes %q", kind)
			}
			go func() { _, _ = io.Copy(io.Discard, scannerReader{w.lines}) }()
			after.end()
			time.Sleep(time.Minute)
			select {
			case <-w.ended:
			default:
				t.Errorf("it goes on after %s", after.what)
			}
			leave()
			<-w.ended
		}
	})
}

// TestManyWatch: watchers cost no more than one, there is a bound, and one that leaves makes room.
func TestManyWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := inMemory(t, Storage{})
		ctx, leave := context.WithCancel(t.Context())
		var all []*watcher
		for range 64 {
			w := h.watch(ctx, nil)
			if kind, _ := w.next(t); kind != cluster.EventSnapshot {
				t.Fatalf("first comes %q", kind)
			}
			all = append(all, w)
		}
		before := h.s.stores[0].calls.LastMinute().Total
		for _, w := range all {
			go func() { _, _ = io.Copy(io.Discard, scannerReader{w.lines}) }()
		}
		time.Sleep(20 * time.Second)
		if n := h.s.stores[0].calls.LastMinute().Total - before; n > 10*6+6 {
			t.Errorf("64 watchers cost %d requests in 20 s", n)
		}
		w := h.ask(t.Context(), nil, http.MethodGet, eventsPath, h.token(time.Minute), "")
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("one more: %d", w.Code)
		}
		leave()
		for _, w := range all {
			<-w.ended
		}
		again, leave := context.WithCancel(t.Context())
		one := h.watch(again, nil)
		if kind, _ := one.next(t); kind != cluster.EventSnapshot {
			t.Errorf("after they left comes %q: %d", kind, one.w.Code)
		}
		leave()
		<-one.ended
	})
}

// scannerReader lets what a watcher gets be thrown away.
type scannerReader struct{ from *bufio.Scanner }

func (s scannerReader) Read([]byte) (int, error) {
	if !s.from.Scan() {
		return 0, io.EOF
	}
	return 0, nil
}
