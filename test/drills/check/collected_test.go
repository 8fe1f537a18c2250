package check_test

import (
	"strings"
	"testing"
	"time"

	"holdfast/test/drills/check"
	"holdfast/test/drills/load"
)

const three = "sha256:3333333333333333333333333333333333333333333333333333333333333333"

// when sets the second in which a call is made.
func when(second int64, c load.Call) load.Call {
	c.Call = second * int64(time.Second)
	c.Ret = c.Call + int64(time.Second)/10
	return c
}

// image puts the manifest two, which names the blob one.
func image(ref string, status int) load.Call {
	c := put(ref, two, status)
	c.Refs = []string{one}
	return c
}

// signature puts the manifest three, whose subject is two.
func signature() load.Call {
	c := put(three, three, 201)
	c.Subject = two
	return c
}

func referrers(names ...string) load.Call {
	return load.Call{Op: load.ReferrersList, Ref: two, Names: names, Status: 200}
}

func by(client int, c load.Call) load.Call {
	c.Client = client
	return c
}

// TestCollected: the grace is 30 s.
func TestCollected(t *testing.T) {
	push, head, missing := blob(load.BlobCommit, 201), blob(load.BlobHead, 200), blob(load.BlobHead, 404)
	tests := map[string]struct {
		calls  []load.Call
		want   found
		broken int
	}{
		"AnUntaggedManifestGoes": {calls: history(when(1, image(two, 201)), when(40, get(two, "")))},
		"ButNotSoon":             {calls: history(when(1, image(two, 201)), when(20, get(two, ""))), want: found{false404: 1}},
		"NorWhileItHasATag":      {calls: history(when(1, image(tag, 201)), when(90, get(two, ""))), want: found{false404: 1}},
		"NorItsTag":              {calls: history(when(1, image(tag, 201)), when(90, final(get(tag, "")))), want: found{lost: 1}},
		"AReplacedManifestGoes":  {calls: history(when(1, image(tag, 201)), when(2, put(tag, three, 201)), when(40, get(two, "")))},
		"AnUntaggedOneToo":       {calls: history(when(1, image(tag, 201)), when(2, del(load.TagDelete, tag, 202)), when(40, get(two, "")))},
		"AndDoesNotComeBack": {
			calls: history(when(1, image(two, 201)), when(40, get(two, "")), when(41, get(two, two))), want: found{resurrected: 1},
		},
		"ButByAPush": {calls: history(when(1, image(two, 201)), when(40, get(two, "")), when(41, image(tag, 201)), when(80, get(two, two)))},

		"ABlobGoes":   {calls: history(when(1, push), when(20, missing))},
		"ButNotSoon2": {calls: history(when(1, push), when(10, missing)), want: found{false404: 1}},
		"NorWhenItWasAskedFor": {
			calls: history(when(1, push), when(20, head), when(30, missing)), want: found{false404: 1},
		},
		"AReadPromisesNothing": {calls: history(when(1, push), when(14, blob(load.BlobGet, 200)), when(20, missing))},
		"NorWhileATaggedManifestNamesIt": {
			calls: history(when(1, push), when(2, image(tag, 201)), when(90, final(blob(load.BlobGet, 404)))), want: found{lost: 1},
		},
		"AnotherClientHasDeletedIt": {calls: history(when(1, push), by(2, when(2, del(load.BlobDelete, one, 202))), when(3, missing))},
		"NotWhatAManifestNames": {
			calls: history(when(1, push), when(2, image(tag, 201)), by(2, when(3, del(load.BlobDelete, one, 202))), when(4, missing)), want: found{false404: 1},
		},
		"ItIsRefused": {calls: history(when(1, push), when(2, image(tag, 201)), by(2, when(3, del(load.BlobDelete, one, 405))), when(4, head))},

		"AndPushedItAgain": {calls: history(when(1, del(load.BlobDelete, one, 404)), by(2, when(2, push)), when(3, head))},

		"ABrokenPush":  {calls: history(when(1, head), when(5, image(tag, 404))), want: found{false404: 1}, broken: 1},
		"ALatePush":    {calls: history(when(1, head), when(20, image(tag, 404)))},
		"ADeletedBlob": {calls: history(when(1, head), by(2, when(3, del(load.BlobDelete, one, 0))), when(5, image(tag, 404)))},

		"AReferrerStays": {calls: history(when(1, image(tag, 201)), when(2, signature()), when(90, get(three, ""))), want: found{false404: 1}},
		"AndIsListed":    {calls: history(when(1, image(tag, 201)), when(2, signature()), when(90, final(referrers()))), want: found{lost: 1}},
		"ItGoesWithIt":   {calls: history(when(1, image(two, 201)), when(2, signature()), when(90, get(three, "")), when(91, referrers()))},
		"AllIsListed":    {calls: history(when(1, image(tag, 201)), when(2, signature()), when(90, referrers(three)))},
		"AnUnknownUntag": {calls: history(when(1, image(tag, 201)), when(20, del(load.TagDelete, tag, 503)), when(40, get(two, "")))},
		"ItHasNotCome":   {calls: history(when(1, image(tag, 201)), when(20, del(load.TagDelete, tag, 503)), when(60, get(two, ""))), want: found{false404: 1}},
		"ASubjectComesBack": {calls: history(
			when(1, image(tag, 201)), when(2, signature()), when(3, del(load.TagDelete, tag, 202)), when(60, image(tag, 201)), when(61, referrers()), when(62, get(three, "")),
		)},
		"InTime": {calls: history(
			when(1, image(tag, 201)), when(20, signature()), when(21, del(load.TagDelete, tag, 202)), when(25, image(tag, 201)), when(90, get(three, "")),
		), want: found{false404: 1}},
		"ADeletedSubject": {calls: history(when(1, image(tag, 201)), when(2, signature()), when(40, del(load.ManifestDelete, two, 202)), when(41, get(three, "")))},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := check.Collected(test.calls, 30*time.Second)
			got := found{v.Lost, v.Corrupt, v.Resurrected, v.False404, v.Unexpected}
			if got != test.want || v.Broken != test.broken {
				t.Errorf("found %+v and %d broken pushes, want %+v and %d\n%s", got, v.Broken, test.want, test.broken, strings.Join(v.Problems, "\n"))
			}
		})
	}
}
