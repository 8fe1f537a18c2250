package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect/fsck"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/oci"
	"holdfast/internal/operate"
	"holdfast/internal/quota"
	recordmem "holdfast/internal/record/mem"
)

// TestQuota: two replicas keep a quota of the configuration, say so to clients, commands and those who watch, and take another one while they run.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records, segments := recordmem.New(recordmem.Config{}), datamem.New(datamem.Config{})
		cfg := Storage{Limits: []quota.Limit{{Prefix: "team", Bytes: 1000}, {Repositories: 1}}}
		a, b := newHouse(t, records, segments, cfg), newHouse(t, records, segments, cfg)
		working, stop := context.WithCancel(t.Context())
		keptA, keptB := a.s.keepHouse(working), b.s.keepHouse(working)
		time.Sleep(time.Minute)
		push := func(h *house, repo, content string) (int, string) {
			w := h.ask(t.Context(), nil, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+string(digest.FromString(content)), "", content)
			return w.Code, w.Body.String()
		}
		if code, text := push(a, "team/x", strings.Repeat("x", 900)); code != http.StatusCreated {
			t.Fatal(code, text)
		}
		time.Sleep(5 * time.Second)
		code, text := push(b, "team/y", strings.Repeat("y", 101))
		if code != http.StatusForbidden || !strings.Contains(text, `"code":"DENIED","message":"the quota of team has no room for 101 bytes: 900 bytes of 1000 bytes are used"`) ||
			!strings.Contains(text, `"detail":{"prefix":"team","used":900,"limit":1000}`) {
			t.Errorf("%d %s", code, text)
		}
		if code, text := push(b, "other", strings.Repeat("y", 101)); code != http.StatusCreated {
			t.Errorf("beside the prefix: %d %s", code, text)
		}
		a.image("one", "v1", "layer")
		b.blob("two", "{}")
		time.Sleep(5 * time.Second)
		body := `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"` + string(digest.FromString("{}")) + `","size":2},"layers":[]}`
		w := b.ask(t.Context(), nil, http.MethodPut, "/v2/two/manifests/v1", "", body)
		if w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), `"code":"TOOMANYREQUESTS"`) || w.Header().Get("Retry-After") == "" {
			t.Errorf("a second repository: %d %s", w.Code, w.Body)
		}
		if w := b.ask(t.Context(), nil, http.MethodGet, "/v2/two/manifests/"+string(digest.FromString(body)), "", ""); w.Code != http.StatusNotFound {
			t.Errorf("its manifest is there: %d", w.Code)
		}
		time.Sleep(time.Minute)
		scraped := b.scrape()
		for _, want := range []string{
			`holdfast_quota_used_bytes{prefix="team",store="/"} 900`, `holdfast_quota_limit_bytes{prefix="team",store="/"} 1000`,
			`holdfast_quota_used_repositories{prefix="/",store="/"} 1`, `holdfast_quota_in_force{prefix="team",store="/"} 1`,
		} {
			if !strings.Contains(scraped, want) {
				t.Errorf("the metrics have no %s", want)
			}
		}
		for _, recount := range []bool{false, true} {
			var out strings.Builder
			code, err := operate.Do(t.Context(), operable(a.s.stores, slog.New(slog.DiscardHandler), true), operate.Request{Do: operate.Quota, Recount: recount}, &out, io.Discard)
			if err != nil || code != operate.Well || !strings.Contains(out.String(), "900 bytes") || !strings.Contains(out.String(), "90 %") || !strings.Contains(out.String(), "1 repositories") {
				t.Errorf("%d %v\n%s", code, err, out.String())
			}
		}
		next := b.s.cfg
		next.Storage.Limits = []quota.Limit{{Prefix: "team", Bytes: 2000}}
		b.s.begin(t.Context())
		if _, err := b.s.apply(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if code, text := push(b, "team/y", strings.Repeat("y", 101)); code != http.StatusCreated {
			t.Errorf("with a larger quota: %d %s", code, text)
		}
		stop()
		for _, err := range []error{keptA.end(t.Context(), a.s.stores), keptB.end(t.Context(), b.s.stores)} {
			if err != nil {
				t.Error(err)
			}
		}
		report, err := fsck.Run(t.Context(), a.s.stores[0].format(), segments, fsck.Config{Offline: true})
		if err != nil || len(report.Findings) > 0 || report.Checked[fsck.Quotas] != 3 {
			t.Errorf("%v, findings %+v, %d keys of quotas", err, report.Findings, report.Checked[fsck.Quotas])
		}
	})
}

// TestRefusedIsCollected: what was received and had no room in the end leaves nothing behind.
func TestRefusedIsCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := inMemory(t, Storage{Collect: Collection{Enabled: true, Interval: time.Hour}, Limits: []quota.Limit{{Bytes: 10}}})
		working, stop := context.WithCancel(t.Context())
		kept := h.s.keepHouse(working)
		time.Sleep(time.Minute)
		const content = "more than there is room for"
		err := h.registry().PushBlob(t.Context(), "a", digest.FromString(content), strings.NewReader(content), -1) // past quota.Registry
		if !errors.Is(err, oci.ErrDenied) || h.bytes() != int64(len(content)) {
			t.Fatalf("%v, and %d bytes: the test shows nothing", err, h.bytes())
		}
		time.Sleep(3 * 24 * time.Hour)
		if h.bytes() != 0 {
			t.Errorf("%d bytes stay", h.bytes())
		}
		stop()
		if err := kept.end(t.Context(), h.s.stores); err != nil {
			t.Error(err)
		}
	})
}
