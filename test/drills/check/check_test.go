package check_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/test/drills/check"
	"holdfast/test/drills/load"
)

const (
	one   = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	two   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	tag   = "c1-latest"
	other = "shared-0"
)

// history numbers calls and gives each a time of its own, after the one before, unless it has one.
func history(calls ...load.Call) []load.Call {
	for n := range calls {
		c := &calls[n]
		c.N, c.Repo = n+1, "r"
		if c.Client == 0 {
			c.Client = 1
		}
		if c.Call == 0 {
			c.Call, c.Ret = int64(10*n+1), int64(10*n+5)
		}
	}
	return calls
}

func put(ref, digest string, status int) load.Call {
	return load.Call{Op: load.ManifestPut, Ref: ref, Digest: digest, Status: status}
}

// get is a read of a manifest: of digest, or 404 for "".
func get(ref, digest string) load.Call {
	if digest == "" {
		return load.Call{Op: load.ManifestGet, Ref: ref, Status: http.StatusNotFound}
	}
	return load.Call{Op: load.ManifestGet, Ref: ref, Digest: digest, Status: http.StatusOK}
}

func final(c load.Call) load.Call {
	c.Final = true
	return c
}

func del(op, ref string, status int) load.Call { return load.Call{Op: op, Ref: ref, Status: status} }

func blob(op string, status int) load.Call {
	return load.Call{Op: op, Ref: one, Digest: one, Status: status}
}

func list(names ...string) load.Call {
	return load.Call{Op: load.TagsList, Names: names, Status: http.StatusOK}
}

func at(c load.Call, client int, call, ret int64) load.Call {
	c.Client, c.Call, c.Ret = client, call, ret
	return c
}

// found is what a history must be blamed for.
type found struct{ lost, corrupt, resurrected, false404, unexpected int }

func TestHistory(t *testing.T) {
	tests := map[string]struct {
		calls []load.Call
		want  found
	}{
		"NothingIsWrong": {history(
			put(tag, one, 201), get(tag, one), get(one, one), list(tag, other), put(tag, two, 201), get(tag, two),
			del(load.TagDelete, tag, 202), get(tag, ""), list(), final(get(one, one)), final(get(tag, "")),
		), found{}},
		"ATagIsLost":                    {history(put(tag, one, 201), get(tag, one), final(get(tag, ""))), found{lost: 1}},
		"ATagGoesBack":                  {history(put(tag, one, 201), put(tag, two, 201), get(tag, one)), found{lost: 1}},
		"AManifestIsLost":               {history(put(tag, one, 201), final(get(one, ""))), found{lost: 1}},
		"ABlobIsLost":                   {history(blob(load.BlobCommit, 201), final(blob(load.BlobGet, 404))), found{lost: 1}},
		"AMountedBlobIsLost":            {history(blob(load.BlobMount, 201), final(blob(load.BlobGet, 404))), found{lost: 1}},
		"SomethingCannotBeReadInTheEnd": {history(blob(load.BlobCommit, 201), final(blob(load.BlobGet, 503))), found{lost: 1}},
		"AFalse404OfATag":               {history(put(tag, one, 201), get(tag, ""), final(get(tag, one))), found{false404: 1}},
		"AFalse404OfABlob":              {history(blob(load.BlobCommit, 201), blob(load.BlobHead, 404)), found{false404: 1}},
		"AFalse404OfAnUpload":           {history(blob(load.BlobAppend, 202), blob(load.BlobAppend, 404)), found{false404: 1}},
		"AFalse404OfWhatAManifestNames": {history(put(tag, one, 404)), found{false404: 1}},
		"AnEmptyList":                   {history(put(tag, one, 201), list()), found{false404: 1}},
		"AListThatIsNotThere": {
			history(put(tag, one, 201), load.Call{Op: load.TagsList, Status: http.StatusNotFound}), found{false404: 1},
		},
		"ADeletedTagIsThere":      {history(put(tag, one, 201), del(load.TagDelete, tag, 202), get(tag, one)), found{resurrected: 1}},
		"ADeletedTagIsListed":     {history(put(tag, one, 201), del(load.TagDelete, tag, 202), list(tag)), found{resurrected: 1}},
		"ADeletedManifestIsThere": {history(put(tag, one, 201), del(load.ManifestDelete, one, 202), get(one, one)), found{resurrected: 1}},
		"ItsTagIsThere":           {history(put(tag, one, 201), del(load.ManifestDelete, one, 202), get(tag, one)), found{resurrected: 1}},
		"ADeletedBlobIsThere":     {history(blob(load.BlobCommit, 201), del(load.BlobDelete, one, 202), blob(load.BlobGet, 200)), found{resurrected: 1}},
		"ATagThatWasNeverSet":     {history(list("c1-strange")), found{resurrected: 1}},
		"WrongBytes":              {history(load.Call{Op: load.BlobGet, Ref: one, Status: 200, Corrupt: true}), found{corrupt: 1}},
		"AListOutOfOrder":         {history(list("b", "a")), found{corrupt: 1}},
		"AnAnswerWithoutReason":   {history(put(tag, one, 400)), found{unexpected: 1}},
		"AChunkIsRefused":         {history(blob(load.BlobAppend, 202), blob(load.BlobAppend, 416)), found{unexpected: 1}},

		"AnUnknownWriteMayHaveHappened":        {history(put(tag, one, 201), put(tag, two, 503), get(tag, two), final(get(tag, two))), found{}},
		"OrNot":                                {history(put(tag, one, 201), put(tag, two, 0), get(tag, one), final(get(tag, one))), found{}},
		"OrLater":                              {history(put(tag, one, 201), put(tag, two, 504), get(tag, one), get(tag, two)), found{}},
		"ButNotTwice":                          {history(put(tag, one, 201), put(tag, two, 504), get(tag, two), put(tag, one, 201), get(tag, two)), found{lost: 1}},
		"AnUnknownDeleteMayHaveHappened":       {history(put(tag, one, 201), del(load.TagDelete, tag, 503), get(tag, ""), list()), found{}},
		"ARefusedWriteHasNotHappened":          {history(put(tag, one, 201), put(tag, two, 400), get(tag, two)), found{lost: 1, unexpected: 1}},
		"AChunkInFlightMakesTheNextOneRefused": {history(blob(load.BlobAppend, 0), blob(load.BlobAppend, 416)), found{}},
		"AnUploadThatWasCommittedIsUnknown":    {history(blob(load.BlobCommit, 503), blob(load.BlobStatus, 404)), found{}},
		"AnotherClientsBlobIsThere":            {history(blob(load.BlobHead, 200), blob(load.BlobGet, 200)), found{}},
		"AndStaysThere":                        {history(blob(load.BlobHead, 200), blob(load.BlobGet, 404)), found{false404: 1}},

		"ASharedTagHasOneOfTwoAtOnce": {history(
			at(put(other, one, 201), 1, 10, 20), at(put(other, two, 201), 2, 15, 25), at(get(other, one), 1, 30, 40),
		), found{}},
		"ASharedTagIsLost": {history(at(put(other, one, 201), 1, 10, 20), final(at(get(other, ""), 2, 30, 40))), found{lost: 1}},
		"ASharedTagIsSaidNotToBeThere": {
			history(at(put(other, one, 201), 1, 10, 20), at(get(other, ""), 2, 30, 40)), found{false404: 1},
		},
		"ASharedTagGoesBack": {history(
			at(put(other, one, 201), 1, 10, 20), at(put(other, two, 201), 2, 21, 25), at(get(other, one), 1, 30, 40),
		), found{lost: 1}},
		"ASharedTagHasWhatNobodyPut": {history(at(put(other, one, 201), 1, 10, 20), at(get(other, two), 2, 30, 40)), found{lost: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := check.History(test.calls)
			got := found{v.Lost, v.Corrupt, v.Resurrected, v.False404, v.Unexpected}
			if got != test.want {
				t.Errorf("found %+v, want %+v\n%s", got, test.want, strings.Join(v.Problems, "\n"))
			}
			if v.Sound() != (test.want == found{}) {
				t.Errorf("Sound is %t", v.Sound())
			}
		})
	}
}

func TestCounts(t *testing.T) {
	v := check.History(history(
		put(tag, one, 201),
		put(tag, two, 503),
		load.Call{Op: load.ManifestGet, Ref: tag, Status: 503, NoHint: true, Wait: int64(3 * time.Second)},
		load.Call{Op: load.BlobGet, Ref: one, Status: 200, Cut: true},
		load.Call{Op: load.BlobDelete, Ref: one},
	))
	if v.Requests != 5 || v.Acknowledged != 1 || v.Unknown != 2 || v.FailedReads != 2 || v.NoHint != 1 {
		t.Errorf("%+v", v)
	}
	if v.Failed["503"] != 2 || v.Failed["cut"] != 1 || v.Failed["none"] != 1 || len(v.Failed) != 3 {
		t.Errorf("failed: %v", v.Failed)
	}
	if v.LongestWait != 3*time.Second || !strings.Contains(v.LongestOf, "call 3") {
		t.Errorf("longest wait %s of %s", v.LongestWait, v.LongestOf)
	}
}
