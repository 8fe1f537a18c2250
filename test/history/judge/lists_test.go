package judge

import (
	"testing"

	"holdfast/test/history/call"
)

func entry(edit change) call.Descriptor {
	m := manifests[ref]
	e := call.Descriptor{MediaType: m.MediaType, Digest: ref, Size: m.Size, ArtifactType: m.ArtifactType, Annotations: m.Annotations}
	if edit != nil {
		edit(&e)
	}
	return e
}

type change func(*call.Descriptor)

func TestTagLists(t *testing.T) {
	two := func(calls ...call.Call) []call.Call {
		return blobsFirst(append([]call.Call{put("a", d1, 2, 3, 201), put("b", d1, 4, 5, 201)}, calls...)...)
	}
	run(t, []judged{
		{"all tags", two(page(call.Tags, 6, 7, "a b")), ""},
		{"page by page", two(page(call.Tags, 6, 7, "a", limit(1), more), page(call.Tags, 8, 9, "b", limit(1), after("a"))), ""},
		{"a tag is missing", two(page(call.Tags, 6, 7, "a")), "M5"},
		{"a tag is missing between two", two(put("c", d1, 4, 5, 201), page(call.Tags, 6, 7, "a c", limit(2), more)), "M5"},
		{"a tag is missing behind the last page", two(page(call.Tags, 6, 7, "a", limit(1))), "M5"},
		{"a tag behind the page is not missing", two(page(call.Tags, 6, 7, "a", limit(1), more)), ""},
		{"a tag that comes meanwhile may be missing", two(put("c", d1, 6, 9, 201), page(call.Tags, 7, 8, "a b")), ""},
		{"a tag that goes meanwhile may be missing", two(of(call.TagDelete, "b", 6, 9, 202), page(call.Tags, 7, 8, "a")), ""},
		{"a tag that may have gone may be missing", two(of(call.TagDelete, "b", 6, 7, 503), page(call.Tags, 8, 9, "a")), ""},
		{"a tag that went with its manifest may be missing", two(of(call.ManifestDelete, d1, 6, 9, 202), page(call.Tags, 7, 8, "a")), ""},
		{"a tag that was read is there", blobsFirst(put("a", d1, 2, 3, 503), get("a", d1, 4, 5), page(call.Tags, 6, 7, "")), "M5"},
		{"a tag is listed that was never there", two(page(call.Tags, 6, 7, "a b c")), "M5"},
		{"a tag is listed that was deleted", two(of(call.TagDelete, "b", 6, 7, 202), page(call.Tags, 8, 9, "a b")), "M5"},
		{"a tag is listed that is being deleted", two(of(call.TagDelete, "b", 6, 9, 202), page(call.Tags, 7, 8, "a b")), ""},
		{"a tag is listed that may have come", two(put("c", d1, 6, 7, 503), page(call.Tags, 8, 9, "a b c")), ""},
		{"tags out of order", two(page(call.Tags, 6, 7, "b a")), "M5"},
		{"a tag twice", two(page(call.Tags, 6, 7, "a a b")), "M5"},
		{"a tag on two pages", two(page(call.Tags, 6, 7, "a b", limit(2), more), page(call.Tags, 8, 9, "b", limit(2), after("b"))), "M5"},
		{"too many tags", two(page(call.Tags, 6, 7, "a b", limit(1))), "M5"},
		{"a list without an answer says nothing", two(of(call.Tags, "", 6, 7, 503)), ""},
		{"a repository with tags is unknown", two(of(call.Tags, "", 6, 7, 404)), "M5"},
		{"a repository without tags is known", two(of(call.TagDelete, "a", 6, 7, 202), of(call.TagDelete, "b", 6, 7, 202), page(call.Tags, 8, 9, "")), ""},
		{"a repository without tags is unknown", two(of(call.TagDelete, "a", 6, 7, 202), of(call.TagDelete, "b", 6, 7, 202), of(call.Tags, "", 8, 9, 404)), "M5"},
		{"a repository that never was is known", []call.Call{page(call.Tags, 1, 2, "")}, "M5"},
		{"a page that says something wrong", two(page(call.Tags, 6, 7, "a b", wrong)), "M5"},
	})
}

func TestCatalog(t *testing.T) {
	first := blobsFirst(put("a", d1, 2, 3, 201))
	with := func(calls ...call.Call) []call.Call { return append(first[:len(first):len(first)], calls...) }
	run(t, []judged{
		{"all repositories, and somebody else's", with(page(call.Catalog, 4, 5, "p/r q/other", in(""))), ""},
		{"a repository is missing", with(page(call.Catalog, 4, 5, "q/other", in(""))), "M5"},
		{"one behind the beginning is not missing", with(page(call.Catalog, 4, 5, "q/other", in(""), after("p/r"))), ""},
		{"a repository stays when its tag goes", with(of(call.TagDelete, "a", 4, 5, 202), page(call.Catalog, 6, 7, "", in(""))), "M5"},
		{"a repository that was never there", with(page(call.Catalog, 4, 5, "p/r p/s", in(""))), "M5"},
		{"repositories out of order", with(page(call.Catalog, 4, 5, "p/r o", in(""))), "M5"},
	})
}

func TestReferrers(t *testing.T) {
	one := func(calls ...call.Call) []call.Call {
		return append([]call.Call{put(ref, ref, 2, 3, 201)}, calls...)
	}
	list := func(from, to int64, all ...with) call.Call { return page(call.Referrers, from, to, "", all...) }
	run(t, []judged{
		{"a referrer is listed", one(list(4, 5, entries(entry(nil)))), ""},
		{"a referrer is missing", one(list(4, 5, entries())), "M5"},
		{"a deleted referrer is listed", one(of(call.ManifestDelete, ref, 4, 5, 202), list(6, 7, entries(entry(nil)))), "M5"},
		{"a referrer that comes may be missing", one(put(ref, ref, 2, 9, 201), list(2, 3, entries())), ""},
		{"another type", one(list(4, 5, entries(entry(nil)), filter("kind"))), ""},
		{"a filter hides what it must not", one(list(4, 5, entries(), filter("kind"))), "M5"},
		{"a filter hides what it must", one(list(4, 5, entries(), filter("other"))), ""},
		{"a filter shows what it must not", one(list(4, 5, entries(entry(nil)), filter("other"))), "M5"},
		{"a filter that was not applied", one(list(4, 5, entries(entry(nil)), filter("kind"), notApplied)), "M6"},
		{"the wrong size", one(list(4, 5, entries(entry(func(e *call.Descriptor) { e.Size++ })))), "M6"},
		{"the wrong mediaType", one(list(4, 5, entries(entry(func(e *call.Descriptor) { e.MediaType = "x" })))), "M6"},
		{"the wrong artifactType", one(list(4, 5, entries(entry(func(e *call.Descriptor) { e.ArtifactType = "" })))), "M6"},
		{"the wrong annotations", one(list(4, 5, entries(entry(func(e *call.Descriptor) { e.Annotations = nil })))), "M6"},
	})
	two := History(blobsFirst(put("a", d1, 2, 3, 201), list(4, 5, entries(call.Descriptor{Digest: d1}))), Options{})
	if len(two.Problems) == 0 {
		t.Error("a manifest without a subject is listed, and nothing is said")
	}
}
