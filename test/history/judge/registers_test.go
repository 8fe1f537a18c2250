package judge

import (
	"testing"
	"time"

	"holdfast/test/history/call"
)

func TestTags(t *testing.T) {
	run(t, []judged{
		{"a read shows the last push", blobsFirst(put("a", d1, 2, 3, 201), put("a", d2, 4, 5, 201), get("a", d2, 6, 7)), ""},
		{"a read shows an older push", blobsFirst(put("a", d1, 2, 3, 201), put("a", d2, 4, 5, 201), get("a", d1, 6, 7)), "M1"},
		{"a read beside two pushes shows either", blobsFirst(put("a", d1, 2, 9, 201), put("a", d2, 4, 9, 201), get("a", d2, 10, 11)), ""},
		{"two reads disagree on who came last", blobsFirst(put("a", d1, 2, 9, 201), put("a", d2, 4, 9, 201), get("a", d2, 10, 11), get("a", d1, 12, 13)), "M1"},
		{"an acknowledged tag is lost", blobsFirst(put("a", d1, 2, 3, 201), get("a", "", 4, 5)), "M1"},
		{"a tag is there that nobody pushed", blobsFirst(put(d1, d1, 2, 3, 201), get("a", d1, 4, 5)), "M1"},

		{"a push without an answer comes later", blobsFirst(put("a", d1, 2, 3, 503), get("a", "", 4, 5), get("a", d1, 6, 7)), ""},
		{"a push without an answer never comes", blobsFirst(put("a", d1, 2, 3, 0), get("a", "", 4, 5)), ""},
		{"a push without an answer comes, and goes", blobsFirst(put("a", d1, 2, 3, 201), put("a", d2, 4, 5, 503), get("a", d2, 6, 7), get("a", d1, 8, 9)), "M1"},
		{"a push that was not sent has no effect", blobsFirst(put("a", d1, 2, 3, 0, unsent), put(d1, d1, 2, 3, 201), get("a", d1, 4, 5)), "M1"},
		{"a push that was refused has no effect", blobsFirst(put(d1, d1, 2, 3, 201), put("a", d1, 4, 5, 404), get("a", d1, 6, 7)), "M1"},
		{"a push by digest sets all its tags", blobsFirst(put(d1, d1, 2, 3, 201, tags("a", "b")), get("a", d1, 4, 5), get("b", "", 6, 7)), "M1"},

		{"a deleted tag is gone", blobsFirst(put("a", d1, 2, 3, 201), of(call.TagDelete, "a", 4, 5, 202), get("a", "", 6, 7), get(d1, d1, 6, 7)), ""},
		{"a deleted tag is there", blobsFirst(put("a", d1, 2, 3, 201), of(call.TagDelete, "a", 4, 5, 202), get("a", d1, 6, 7)), "M1"},
		{"a delete without an answer may come", blobsFirst(put("a", d1, 2, 3, 201), of(call.TagDelete, "a", 4, 5, 503), get("a", d1, 6, 7), get("a", "", 8, 9)), ""},
		{"a delete is told that there is nothing, and there is", blobsFirst(put("a", d1, 2, 3, 201), of(call.TagDelete, "a", 4, 5, 404)), "M1"},
		{"one of two deletes wins", blobsFirst(put("a", d1, 2, 3, 201), of(call.TagDelete, "a", 4, 9, 202), of(call.TagDelete, "a", 5, 8, 404)), ""},
		{"both of two deletes win", blobsFirst(put("a", d1, 2, 3, 201), of(call.TagDelete, "a", 4, 9, 202), of(call.TagDelete, "a", 5, 8, 202)), "M1"},

		{"a manifest takes its tags along", blobsFirst(put("a", d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 5, 202), get("a", "", 6, 7)), ""},
		{"a tag outlives its manifest", blobsFirst(put("a", d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 5, 202), get("a", d1, 6, 20), put(d1, d1, 8, 9, 201)), "M1"},
		{"a manifest spares a tag that has moved on", blobsFirst(put("a", d1, 2, 3, 201), put("a", d2, 4, 5, 201), of(call.ManifestDelete, d1, 6, 7, 202), get("a", d2, 8, 9)), ""},
		{"a manifest takes a tag that has moved on", blobsFirst(put("a", d1, 2, 3, 201), put("a", d2, 4, 5, 201), of(call.ManifestDelete, d1, 6, 7, 202), get("a", "", 8, 9)), "M1"},
		{
			"a push that is overtaken by a delete sets its tag twice",
			blobsFirst(put("a", d1, 2, 20, 201), get("a", d1, 4, 5), of(call.ManifestDelete, d1, 6, 12, 202), get("a", "", 8, 9), get("a", d1, 22, 23)), "",
		},
		{"without a delete it does not", blobsFirst(put("a", d1, 2, 20, 201), get("a", d1, 4, 5), get("a", "", 8, 9), get("a", d1, 22, 23)), "M1"},
	})
}

func TestManifests(t *testing.T) {
	run(t, []judged{
		{"an acknowledged manifest is lost", blobsFirst(put(d1, d1, 2, 3, 201), get(d1, "", 4, 5)), "M2"},
		{"a deleted manifest is gone", blobsFirst(put(d1, d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 5, 202), get(d1, "", 6, 7)), ""},
		{"a deleted manifest is there", blobsFirst(put(d1, d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 5, 202), get(d1, d1, 6, 7)), "M2"},
		{"of two deletes at once both are acknowledged", blobsFirst(put(d1, d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 9, 202), of(call.ManifestDelete, d1, 5, 8, 202)), ""},
		{"of two deletes one after the other both are", blobsFirst(put(d1, d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 5, 202), of(call.ManifestDelete, d1, 6, 7, 202)), "M2"},
		{"a refused push leaves nothing", blobsFirst(put(d1, d1, 2, 3, 404), get(d1, d1, 4, 5)), "M2"},
		{
			"unless something was deleted meanwhile",
			blobsFirst(blob(call.BlobDelete, b1, 2, 5, 202), put(d1, d1, 3, 6, 404, lacks(b1)), get(d1, d1, 7, 8)), "",
		},
		{"an index is accepted with its manifest", blobsFirst(put(d1, d1, 2, 3, 201), put(idx, idx, 4, 5, 201)), ""},
		{"an index is accepted without its manifest", blobsFirst(put(idx, idx, 4, 5, 201)), "M2"},
		{"an index is refused for a manifest that is there", blobsFirst(put(d1, d1, 2, 3, 201), put(idx, idx, 4, 5, 404, lacks(d1))), "M2"},
		{"a tag names a manifest that is not there", blobsFirst(put("a", d1, 2, 30, 201), get("a", d1, 4, 5), get(d1, "", 6, 7)), "M2"},
		{
			"a tag names one that is being deleted",
			blobsFirst(put("a", d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 20, 202), get(d1, "", 6, 7), get("a", d1, 8, 9)), "",
		},
		{
			"a tag names one whose push goes on and was overtaken by a delete",
			blobsFirst(put(d1, d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 9, 202), put("a", d1, 5, 20, 201), get(d1, "", 10, 11), get("a", d1, 12, 13)), "",
		},
		{
			"a tag names one that was deleted before its push began",
			blobsFirst(put(d1, d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 5, 202), put("a", d1, 6, 20, 201), get("a", d1, 10, 11), get(d1, "", 12, 13)), "M2",
		},
		{"wrong bytes", blobsFirst(put(d1, d1, 2, 3, 201), get(d1, d1, 4, 5, wrong)), "M2"},
	})
}

func TestBlobs(t *testing.T) {
	run(t, []judged{
		{"an acknowledged blob is there", []call.Call{blob(call.Push, b1, 2, 3, 201), blob(call.BlobGet, b1, 4, 5, 200)}, ""},
		{"an acknowledged blob is lost", []call.Call{blob(call.Commit, b1, 2, 3, 201), blob(call.BlobHead, b1, 4, 5, 404)}, "M3"},
		{"a mounted blob is lost", []call.Call{blob(call.Mount, b1, 2, 3, 201), blob(call.BlobHead, b1, 4, 5, 404)}, "M3"},
		{"a mount that found nothing says nothing", []call.Call{blob(call.Mount, b1, 2, 3, 202), blob(call.BlobHead, b1, 4, 5, 404)}, ""},
		{"a blob is there that nobody pushed", []call.Call{blob(call.BlobHead, b1, 4, 5, 200)}, "M3"},
		{"a commit of other bytes has no effect", []call.Call{blob(call.Commit, b1, 2, 3, 400, badSum), blob(call.BlobHead, b1, 4, 5, 200)}, "M3"},
		{"a deleted blob is there", []call.Call{blob(call.Push, b1, 2, 3, 201), blob(call.BlobDelete, b1, 4, 5, 202), blob(call.BlobGet, b1, 6, 7, 200)}, "M3"},
		{"a delete without an answer may come", []call.Call{blob(call.Push, b1, 2, 3, 201), blob(call.BlobDelete, b1, 4, 5, 503), blob(call.BlobGet, b1, 6, 7, 404)}, ""},
		{"a blob is in use, and is not there", blobsFirst(put(d1, d1, 2, 3, 201), blob(call.BlobDelete, b1, 2, 3, 202), put(d1, d1, 2, 9, 503), blob(call.BlobDelete, b1, 4, 5, 405, denied)), "M3"},
		{"a manifest is accepted without its blob", []call.Call{put("a", d1, 2, 3, 201)}, "M3"},
		{"a manifest is refused for a blob that is there", blobsFirst(put("a", d1, 2, 3, 404, lacks(b1))), "M3"},
		{"wrong bytes", []call.Call{blob(call.Push, b1, 2, 3, 201), blob(call.BlobGet, b1, 4, 5, 200, wrong)}, "M3"},
	})
}

func TestIntegrity(t *testing.T) {
	run(t, []judged{
		{"a blob in use cannot be deleted", blobsFirst(put("a", d1, 2, 3, 201), blob(call.BlobDelete, b1, 4, 5, 405, denied)), ""},
		{"a blob in use is deleted", blobsFirst(put("a", d1, 2, 3, 201), blob(call.BlobDelete, b1, 4, 5, 202)), "I3"},
		{"it may be once its manifest is gone", blobsFirst(put("a", d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 5, 202), blob(call.BlobDelete, b1, 6, 7, 202)), ""},
		{"and while that goes", blobsFirst(put("a", d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 9, 202), blob(call.BlobDelete, b1, 6, 7, 202)), ""},
		{"the blob of a manifest is gone in the end", blobsFirst(blob(call.BlobDelete, b1, 2, 9, 202), put("a", d1, 2, 9, 201), blob(call.BlobGet, b1, 10, 11, 404, final)), "I3"},
		{"a blob is in use by nobody", blobsFirst(blob(call.BlobDelete, b1, 4, 5, 405, denied)), "I3"},
		{"a blob is in use by what is gone", blobsFirst(put("a", d1, 2, 3, 201), of(call.ManifestDelete, d1, 4, 5, 202), blob(call.BlobDelete, b1, 6, 7, 405, denied)), "I3"},
		{"a blob is in use by what may come", blobsFirst(put("a", d1, 2, 3, 503), blob(call.BlobDelete, b1, 6, 7, 405, denied)), ""},
	})
}

func TestAnswers(t *testing.T) {
	run(t, []judged{
		{"a refusal without a reason", blobsFirst(put("a", d1, 2, 3, 400)), "A"},
		{"a failure is no refusal", blobsFirst(put("a", d1, 2, 3, 500)), ""},
		{"a read at the end that is never answered", blobsFirst(of(call.ManifestGet, "a", 2, 3, 503, final)), "A"},
		{"and one that is, in the end", blobsFirst(of(call.ManifestGet, "a", 2, 3, 503, final), get("a", "", 4, 5, final, func(c *call.Call) { c.N = 2 })), ""},
		{"a refusal for what a manifest of an index names", []call.Call{put(d1, d1, 2, 3, 503), put(idx, idx, 4, 5, 404, lacks(b1))}, ""},
		{"a refusal for what the manifest does not name", blobsFirst(put("a", d1, 2, 3, 404, lacks(b2))), "A"},
	})
}

// TestRelaxed: other registries acknowledge deletes of what is not there.
func TestRelaxed(t *testing.T) {
	calls := blobsFirst(put("a", d1, 2, 3, 201), of(call.TagDelete, "a", 4, 5, 202), of(call.TagDelete, "a", 6, 7, 202))
	expect(t, History(calls, Options{Timeout: 10 * time.Second}), "M1")
	expect(t, History(calls, Options{Timeout: 10 * time.Second, Relaxed: true}), "")
}

// TestShortest: of a long history the few calls are shown that break the rule.
func TestShortest(t *testing.T) {
	calls := blobsFirst()
	time := int64(10)
	for n := range 300 {
		d := []string{d1, d2}[n%2]
		calls = append(calls, put("a", d, time, time+1, 201), get("a", d, time+2, time+3))
		time += 4
		if n == 150 {
			calls = append(calls, put("a", d2, time, time+1, 201), get("a", d1, time+2, time+3))
			time += 4
		}
	}
	v := History(calls, Options{})
	if len(v.Problems) != 1 || len(v.Problems[0].Calls) != 2 {
		t.Fatalf("want one problem of two calls, got %v", v.Problems)
	}
	if p := v.Problems[0].Calls; p[0].Digest != d2 || p[1].Digest != d1 || p[0].Ret > p[1].Call {
		t.Errorf("want the push and the read of the other one after it, got %s", &v.Problems[0])
	}
}

// TestManyUnknown: an outage leaves hundreds of writes without an answer, and is judged in no time; what comes before it,
// and what no unknown write can explain, is still found.
func TestManyUnknown(t *testing.T) {
	outage := blobsFirst(put("a", d1, 2, 3, 201))
	for n := range int64(200) {
		outage = append(outage, put("a", []string{d1, d2}[n%2], 10+n, 11+n, 503), of(call.ManifestDelete, d1, 10+n, 11+n, 503), of(call.TagDelete, "a", 10+n, 11+n, 0))
	}
	with := func(calls ...call.Call) []call.Call { return append(outage[:len(outage):len(outage)], calls...) }
	run(t, []judged{
		{"all is possible", with(get("a", d1, 300, 301), get("a", "", 302, 303), get("a", d2, 304, 305), of(call.TagDelete, "a", 306, 307, 202), of(call.TagDelete, "a", 308, 309, 202)), ""},
		{"but not before it", with(get("a", "", 4, 5)), "M1"},
		{"nor what nobody wrote", with(get("a", ref, 300, 301), put(ref, ref, 2, 3, 201)), "M1"},
		{"nor that an acknowledged write is older", with(put("b", d1, 300, 301, 201), put("b", d2, 302, 303, 201), put("c", d1, 2, 3, 201), get("b", ref, 304, 305), put(ref, ref, 2, 3, 201)), "M1"},
	})
}
