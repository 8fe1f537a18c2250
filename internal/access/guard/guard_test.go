package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"holdfast/internal/access"
	"holdfast/internal/access/policy"
	"holdfast/internal/access/scope"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// house is a registry of one store, with as many replicas as are asked for.
type house struct {
	*testing.T
	records  *counting
	segments *datamem.Store
}

// counting counts the requests.
type counting struct {
	record.Store
	requests atomic.Int64
}

func (c *counting) Get(ctx context.Context, key record.Key) (record.Record, error) {
	c.requests.Add(1)
	return c.Store.Get(ctx, key)
}

func (c *counting) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	c.requests.Add(1)
	return c.Store.Put(ctx, key, value, cond)
}

func newHouse(t *testing.T) *house {
	return &house{t, &counting{Store: recordmem.New(recordmem.Config{})}, datamem.New(datamem.Config{})}
}

func (h *house) replica() *registry.Local {
	h.Helper()
	l, err := registry.New(h.Context(), h.records, h.segments, registry.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(l.Close)
	return l
}

func content(name string) string { return "config of " + name }

func imageOf(name string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":%q,"size":%d},"layers":[]}`, digest.FromString(content(name)), len(content(name)))
}

func digestOf(name string) oci.Digest { return digest.FromBytes(imageOf(name)) }

// blob makes the config of an image be there.
func (h *house) blob(l registry.Registry, repo oci.Repository, name string) {
	h.Helper()
	if err := l.PushBlob(h.Context(), repo, digest.FromString(content(name)), strings.NewReader(content(name)), -1); err != nil {
		h.Fatal(err)
	}
}

// set pushes an image as work of our own.
func (h *house) set(l registry.Registry, repo oci.Repository, tag oci.Tag, name string) {
	h.Helper()
	h.blob(l, repo, name)
	if _, err := l.PushManifest(h.Context(), repo, registry.Push{Body: imageOf(name), Tags: []oci.Tag{tag}}); err != nil {
		h.Fatal(err)
	}
}

func (h *house) push(g registry.Registry, who string, repo oci.Repository, name string, tags ...oci.Tag) error {
	_, err := g.PushManifest(as(h.Context(), who), repo, registry.Push{Body: imageOf(name), Tags: tags})
	return err
}

func (h *house) pushByDigest(g registry.Registry, who string, repo oci.Repository, name string, tags ...oci.Tag) error {
	_, err := g.PushManifest(as(h.Context(), who), repo, registry.Push{Body: imageOf(name), Digest: digestOf(name), Tags: tags})
	return err
}

func (h *house) wantTag(l registry.Registry, repo oci.Repository, tag oci.Tag, name string) {
	h.Helper()
	got, err := l.Resolve(h.Context(), repo, oci.Reference{Tag: tag})
	switch {
	case name == "" && !errors.Is(err, oci.ErrManifestUnknown):
		h.Errorf("the tag %s: %v, want MANIFEST_UNKNOWN", tag, err)
	case name != "" && (err != nil || got.Digest != digestOf(name)):
		h.Errorf("the tag %s: %v, %v, want the image %s", tag, got, err, name)
	}
}

func (h *house) wantCode(what string, code oci.Code, err error) {
	h.Helper()
	if code == "" && err != nil || code != "" && !errors.Is(err, &oci.Error{Code: code}) {
		h.Errorf("%s: %v, want %q", what, err, code)
	}
}

func users(users ...string) []string { return users }

func team(t *testing.T, immutable ...policy.ImmutableTags) func() *policy.Policy {
	return rules(t, policy.Config{
		Repositories: map[string]policy.Repository{
			"acme/**": {
				Policies: []policy.Rule{
					{Users: users("creator"), Actions: []string{"read", "create"}},
					{Users: users("mover"), Actions: []string{"read", "update"}},
					{Users: users("writer"), Actions: []string{"read", "create", "update"}},
					{Users: users("careful"), Actions: []string{"delete", "detectManifestCollision"}},
					{Users: users("cleaner"), Actions: []string{"delete"}},
				},
				Immutable: immutable,
			},
			"acme/priv": {Policies: []policy.Rule{{Users: users("bob"), Actions: []string{"read", "create", "update", "delete"}}}},
			"pub/**":    {Anonymous: []string{"read"}, Default: []string{"read"}},
		},
		Admin: policy.Rule{Users: users("admin"), Actions: []string{"read", "create", "update", "delete"}},
	})
}

// A40, A41: who may only create sets no tag that is there to other content, by tag or by digest; the same again is fine.
func TestPush(t *testing.T) {
	h := newHouse(t)
	l := h.replica()
	g := New(l, team(t))
	for _, name := range []string{"one", "two"} {
		h.blob(l, "acme/app", name)
	}
	h.wantCode("move what is not there", oci.Denied, h.push(g, "mover", "acme/app", "one", "latest"))
	h.wantTag(l, "acme/app", "latest", "")
	h.wantCode("create", "", h.push(g, "creator", "acme/app", "one", "latest"))
	h.wantCode("the same again", "", h.push(g, "creator", "acme/app", "one", "latest"))
	h.wantCode("the same again, by who may update", "", h.push(g, "mover", "acme/app", "one", "latest"))
	h.wantCode("other content", oci.Denied, h.push(g, "creator", "acme/app", "two", "latest"))
	h.wantCode("other content, by digest", oci.Denied, h.pushByDigest(g, "creator", "acme/app", "two", "new", "latest"))
	h.wantTag(l, "acme/app", "latest", "one")
	h.wantTag(l, "acme/app", "new", "")
	if _, err := l.Resolve(t.Context(), "acme/app", oci.Reference{Digest: digestOf("two")}); !errors.Is(err, oci.ErrManifestUnknown) {
		t.Errorf("a manifest that was refused is there: %v", err)
	}
	h.wantCode("by digest alone", "", h.pushByDigest(g, "creator", "acme/app", "two"))
	h.wantCode("by digest alone, by who may update", oci.Denied, h.pushByDigest(g, "mover", "acme/app", "two"))
	h.wantCode("move", "", h.push(g, "mover", "acme/app", "two", "latest"))
	h.wantTag(l, "acme/app", "latest", "two")
	h.wantCode("a new and an old one", "", h.pushByDigest(g, "writer", "acme/app", "one", "latest", "new"))
	h.wantTag(l, "acme/app", "latest", "one")
	h.wantTag(l, "acme/app", "new", "one")
	h.wantCode("nobody", oci.Unauthorized, h.push(g, "", "acme/app", "one", "x"))
	// What needs neither bytes nor store is known before.
	for who, code := range map[string]oci.Code{"": oci.Unauthorized, "cleaner": oci.Denied, "creator": "", "mover": ""} {
		gate := g.(interface {
			MayPush(context.Context, oci.Repository, registry.Push) error
		})
		h.wantCode("before the bytes: "+who, code, gate.MayPush(as(t.Context(), who), "acme/app", registry.Push{Tags: []oci.Tag{"latest"}}))
	}
}

// Two who may only create push one tag at two replicas at once: one is told that it is set.
func TestCreatorsAtOnce(t *testing.T) {
	for round := range 20 {
		h := newHouse(t)
		policies := team(t)
		replicas := []registry.Registry{New(h.replica(), policies), New(h.replica(), policies)}
		for i := range 8 {
			h.blob(replicas[0], "acme/app", fmt.Sprint(i))
		}
		var won atomic.Int64
		var winner atomic.Value
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				switch err := h.push(replicas[i%2], "creator", "acme/app", fmt.Sprint(i), "v1"); {
				case err == nil:
					won.Add(1)
					winner.Store(fmt.Sprint(i))
				case !errors.Is(err, oci.ErrDenied):
					t.Errorf("push: %v", err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d pushes were acknowledged, want 1", round, won.Load())
		}
		h.wantTag(replicas[1], "acme/app", "v1", winner.Load().(string))
	}
}

func TestImmutableTags(t *testing.T) {
	h := newHouse(t)
	l := h.replica()
	g := New(l, team(t, policy.ImmutableTags{Patterns: []string{"v*"}, Except: []string{"*-rc*"}}))
	for _, name := range []string{"one", "two"} {
		h.blob(l, "acme/app", name)
	}
	h.wantCode("first", "", h.push(g, "creator", "acme/app", "one", "v1"))
	for _, who := range []string{"writer", "admin"} {
		err := h.push(g, who, "acme/app", "two", "v1")
		h.wantCode("other content by "+who, oci.Denied, err)
		if err == nil || !strings.Contains(err.Error(), "immutable") {
			t.Errorf("the error does not say why: %v", err)
		}
		h.wantCode("one of several by "+who, oci.Denied, h.pushByDigest(g, who, "acme/app", "two", "latest", "v1"))
		h.wantTag(l, "acme/app", "latest", "")
		h.wantCode("the same by "+who, "", h.push(g, who, "acme/app", "one", "v1"))
	}
	admin := as(t.Context(), "admin")
	h.wantCode("delete the tag", oci.Denied, g.DeleteTag(admin, "acme/app", "v1"))
	h.wantCode("delete one that is not there", oci.Denied, g.DeleteTag(admin, "acme/app", "v9"))
	h.wantCode("delete the manifest", oci.Denied, g.DeleteManifest(admin, "acme/app", digestOf("one")))
	h.wantTag(l, "acme/app", "v1", "one")
	h.wantCode("an exception", "", h.push(g, "writer", "acme/app", "one", "v2-rc1"))
	h.wantCode("an exception moves", "", h.push(g, "writer", "acme/app", "two", "v2-rc1"))
	h.wantCode("an exception goes", "", g.DeleteTag(admin, "acme/app", "v2-rc1"))
	h.wantCode("a manifest without such a tag goes", "", g.DeleteManifest(admin, "acme/app", digestOf("two")))
	h.set(l, "acme/priv", "v1", "one") // which has a longer glob, without immutable tags
	h.blob(l, "acme/priv", "two")
	h.wantCode("another glob's", "", h.push(g, "bob", "acme/priv", "two", "v1"))
	h.wantCode("our own work", "", g.DeleteTag(t.Context(), "acme/app", "v1"))
}

func TestDetectManifestCollision(t *testing.T) {
	h := newHouse(t)
	l := h.replica()
	g := New(l, team(t))
	h.set(l, "acme/app", "a", "one")
	h.set(l, "acme/app", "b", "one")
	var e *oci.Error
	err := g.DeleteManifest(as(t.Context(), "careful"), "acme/app", digestOf("one"))
	if !errors.As(err, &e) || e.Reason != oci.Ambiguous {
		t.Errorf("two tags: %v", err)
	}
	h.wantTag(l, "acme/app", "a", "one")
	h.wantCode("one of the tags", "", g.DeleteTag(as(t.Context(), "careful"), "acme/app", "a"))
	h.wantCode("one tag", "", g.DeleteManifest(as(t.Context(), "careful"), "acme/app", digestOf("one")))
	h.set(l, "acme/app", "a", "one")
	h.set(l, "acme/app", "b", "one")
	h.wantCode("who need not be told", "", g.DeleteManifest(as(t.Context(), "cleaner"), "acme/app", digestOf("one")))
}

// A32: what may not be read is refused in the same words, with the same requests to the store (none), whether it is there or not.
func TestNothingTellsWhatExists(t *testing.T) {
	h := newHouse(t)
	l := h.replica()
	g := New(l, team(t))
	h.set(l, "acme/priv", "t", "one")
	ctx := as(t.Context(), "creator")
	for name, do := range map[string]func(oci.Repository) error{
		"tags":      func(r oci.Repository) error { _, err := g.Tags(ctx, r, "", 10); return err },
		"referrers": func(r oci.Repository) error { _, err := g.Referrers(ctx, r, digestOf("one")); return err },
		"manifest":  func(r oci.Repository) error { _, err := g.Resolve(ctx, r, oci.Reference{Tag: "t"}); return err },
		"blob": func(r oci.Repository) error {
			_, err := g.StatBlob(ctx, r, digest.FromString(content("one")))
			return err
		},
		"push": func(r oci.Repository) error { return h.push(g, "creator", r, "one", "t") },
	} {
		before := h.records.requests.Load()
		there, missing := do("acme/priv"), do("doesnotexist/x")
		if n := h.records.requests.Load() - before; n != 0 {
			t.Errorf("%s: %d requests to the store", name, n)
		}
		var a, b *oci.Error
		if !errors.As(there, &a) || !errors.As(missing, &b) || a.Code != oci.Denied || a.Code != b.Code || a.Message != b.Message {
			t.Errorf("%s: %v for what is there, %v for what is not", name, there, missing)
		}
	}
}

// A19, A20: what may not be read is not mounted, and answered as what is not there.
func TestMount(t *testing.T) {
	h := newHouse(t)
	l := h.replica()
	g := New(l, team(t))
	h.set(l, "acme/priv", "t", "secret")
	secret, nothing := digest.FromString(content("secret")), digest.FromString("nothing")
	ctx := as(t.Context(), "creator")
	mount := func(d oci.Digest, from oci.Repository) error {
		return g.MountBlob(ctx, "acme/app", d, registry.Source{Repository: from})
	}
	for _, from := range []oci.Repository{"acme/priv", ""} {
		a, b := mount(secret, from), mount(nothing, from)
		if !errors.Is(a, registry.ErrNotMounted) || fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("from %q: %v, and %v for what is not there", from, a, b)
		}
	}
	if _, err := l.Blob(t.Context(), "acme/app", secret); !errors.Is(err, oci.ErrBlobUnknown) {
		t.Errorf("the secret blob: %v", err)
	}
	h.blob(l, "pub/x", "secret")
	h.wantCode("from what may be read", "", mount(secret, ""))
	h.wantCode("from what may be read, by name", "", mount(secret, "pub/x"))
	if err := g.MountBlob(as(t.Context(), "mover"), "acme/app", secret, registry.Source{Repository: "pub/x"}); !errors.Is(err, oci.ErrDenied) {
		t.Errorf("by who may not create: %v", err)
	}
}

func TestCatalog(t *testing.T) {
	h := newHouse(t)
	l := h.replica()
	g := New(l, team(t))
	var acme, pub []oci.Repository
	for i := range 30 {
		a, p := oci.Repository(fmt.Sprintf("acme/a%02d", i)), oci.Repository(fmt.Sprintf("pub/p%02d", i))
		h.set(l, a, "t", "one")
		h.set(l, p, "t", "one")
		h.set(l, oci.Repository(fmt.Sprintf("b/%02d", i)), "t", "one")
		acme, pub = append(acme, a), append(pub, p)
	}
	h.set(l, "acme/priv", "t", "one")
	everything := func(who string, n int) []oci.Repository {
		var all []oci.Repository
		last := ""
		for {
			page, err := g.Repositories(as(t.Context(), who), last, n)
			if err != nil {
				t.Fatal(err)
			}
			if page.More && len(page.Names) != n || len(page.Names) > n {
				t.Errorf("%s: a page of %d names, want %d", who, len(page.Names), n)
			}
			all = append(all, page.Names...)
			if !page.More {
				return all
			}
			last = string(page.Names[len(page.Names)-1])
		}
	}
	for _, n := range []int{1, 7, 30, 60, 1000} {
		for who, want := range map[string][]oci.Repository{"creator": slices.Concat(acme, pub), "": pub, "bob": append([]oci.Repository{"acme/priv"}, pub...)} {
			if diff := cmp.Diff(want, everything(who, n)); diff != "" {
				t.Errorf("%q by %d:\n%s", who, n, diff)
			}
		}
	}
	if got := everything("admin", 20); len(got) != 91 {
		t.Errorf("admin sees %d", len(got))
	}
	limited := access.With(t.Context(), &access.Request{Identity: access.Identity{Name: "admin", Way: access.Token, Limits: &access.Limits{}}})
	for who, want := range map[string][]oci.Repository{"bob": append([]oci.Repository{"acme/priv"}, pub...), "": pub} {
		id := access.From(as(t.Context(), who)).Identity
		id.Limits = scope.Limits([]scope.Access{{Type: scope.Registry, Name: scope.Catalog, Actions: []string{scope.All}}}, false, time.Now())
		if id.Name != "" {
			id.Way = access.Token
		}
		page, err := g.Repositories(access.With(t.Context(), &access.Request{Identity: id}), "", 100)
		if diff := cmp.Diff(want, page.Names); diff != "" || err != nil {
			t.Errorf("%q by a token for the catalog: %v\n%s", who, err, diff)
		}
		id.Limits = &access.Limits{Catalog: true, Repositories: []access.Limit{{Name: "pub/p00", Actions: []access.Action{access.Read}}}}
		if page, err = g.Repositories(access.With(t.Context(), &access.Request{Identity: id}), "", 100); err != nil || !slices.Equal(page.Names, pub[:1]) {
			t.Errorf("%q by a key with scopes: %v, %v", who, page.Names, err)
		}
	}
	_, err := g.Repositories(limited, "", 10)
	h.wantCode("a token without the catalog", oci.Unauthorized, err)
	limited = access.With(t.Context(), &access.Request{Identity: access.Identity{Name: "admin", Way: access.APIKey, Limits: &access.Limits{}}})
	_, err = g.Repositories(limited, "", 10)
	h.wantCode("a key without the catalog", oci.Denied, err)
	closed := New(l, rules(t, policy.Config{Repositories: map[string]policy.Repository{"**": {Default: []string{"read"}}}}))
	_, err = closed.Repositories(as(t.Context(), ""), "", 10)
	h.wantCode("nobody", oci.Unauthorized, err)
}

// What lies behind too much that may not be read is not shown, and no name of it is told.
func TestCatalogIsBounded(t *testing.T) {
	l := &many{total: 150 * catalogPage}
	g := New(l, rules(t, policy.Config{Repositories: map[string]policy.Repository{"[r]0000000": {Default: []string{"read"}}, "*149999": {Default: []string{"read"}}}}))
	page, err := g.Repositories(as(t.Context(), "alice"), "", 10)
	if err != nil || !page.More || !slices.Equal(page.Names, []oci.Repository{"r0000000"}) {
		t.Errorf("%v, %v", page, err)
	}
	if l.pages > catalogPages {
		t.Errorf("%d pages", l.pages)
	}
	if page, err = g.Repositories(as(t.Context(), "alice"), "r0000000", 10); !errors.Is(err, oci.ErrUnsupported) || page.More {
		t.Errorf("%v, %v", page, err)
	}
}

// Where no rule lets anything be read nothing is listed.
func TestCatalogSkips(t *testing.T) {
	l := &many{total: 150 * catalogPage}
	g := New(l, rules(t, policy.Config{Repositories: map[string]policy.Repository{"r0000001": {Default: []string{"read"}}, "r0149998/**": {Default: []string{"read"}}, "x/**": {Default: []string{"read"}}}}))
	page, err := g.Repositories(as(t.Context(), "alice"), "", 10)
	if err != nil || page.More || !slices.Equal(page.Names, []oci.Repository{"r0000001", "r0149998"}) {
		t.Errorf("%v, %v", page, err)
	}
	if l.pages > 4 {
		t.Errorf("%d pages", l.pages)
	}
}

// Whatever a prefix ends in, nothing that begins with it is skipped, in the order of a real store.
func TestSkipReachesEveryName(t *testing.T) {
	h := newHouse(t)
	l := h.replica()
	names := []oci.Repository{"a", "a-b", "a--b", "a.b", "a/b", "a0", "a_b", "ab", "az", "b", "b-b", "b/b", "0", "0/a", "z/z-z"}
	for _, name := range names {
		h.set(l, name, "t", "one")
	}
	slices.Sort(names)
	for _, prefix := range []string{"a", "a-", "a--", "a.", "a/", "a0", "a_", "ab", "b", "b-", "b/", "0", "0/", "z", "z/z-", ""} {
		g := New(l, rules(t, policy.Config{Repositories: map[string]policy.Repository{prefix + "*{,/*}": {Default: []string{"read"}}, prefix + "**": {Default: []string{"read"}}}}))
		var want []oci.Repository
		for _, name := range names {
			if g.(*guard).rules().Decide(access.From(as(t.Context(), "alice")), policy.Ask{Action: access.Read, Repository: name}).Allowed {
				want = append(want, name)
			}
		}
		for _, last := range append([]oci.Repository{""}, names...) {
			page, err := g.Repositories(as(t.Context(), "alice"), string(last), 100)
			after := slices.DeleteFunc(slices.Clone(want), func(name oci.Repository) bool { return name <= last })
			if err != nil || !slices.Equal(page.Names, after) || page.More {
				t.Errorf("%q after %q: %q, %v, want %q", prefix, last, page.Names, err, after)
			}
		}
	}
}

// many is a registry with a number of repositories, r0000000 and on.
type many struct {
	registry.Registry
	total, pages int
}

func (m *many) Repositories(_ context.Context, last string, n int) (registry.Page[oci.Repository], error) {
	m.pages++
	var page registry.Page[oci.Repository]
	next := sort.Search(m.total, func(i int) bool { return fmt.Sprintf("r%07d", i) > last })
	for ; next < m.total && len(page.Names) < n; next++ {
		page.Names = append(page.Names, oci.Repository(fmt.Sprintf("r%07d", next)))
	}
	page.More = next < m.total
	return page, nil
}
