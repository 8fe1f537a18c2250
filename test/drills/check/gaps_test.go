package check_test

import (
	"strings"
	"testing"

	"holdfast/test/drills/check"
	"holdfast/test/drills/load"
)

// TestAcrossClients: what one client was told holds for all others, and for lists too.
func TestAcrossClients(t *testing.T) {
	tests := map[string]judged{
		"ABlobThatAnotherPushedIsDenied": {history(
			at(blob(load.BlobCommit, 201), 1, 10, 20), at(blob(load.BlobGet, 404), 2, 30, 40),
		), found{false404: 1}},
		"ABlobThatAnotherMountedIsDenied": {history(
			at(blob(load.BlobMount, 201), 1, 10, 20), at(blob(load.BlobHead, 404), 2, 30, 40),
		), found{false404: 1}},
		"ABlobThatAnotherSawIsDenied": {history(
			at(blob(load.BlobHead, 200), 1, 10, 20), at(blob(load.BlobRange, 404), 2, 30, 40),
		), found{false404: 1}},
		"ABlobThatIsBeingPushedMayNotBeThere": {history(
			at(blob(load.BlobCommit, 201), 1, 10, 35), at(blob(load.BlobGet, 404), 2, 30, 40),
		), found{}},
		"NorOneThatAnotherDeletes": {history(
			at(blob(load.BlobCommit, 201), 1, 10, 20), at(blob(load.BlobDelete, 202), 1, 21, 29), at(blob(load.BlobGet, 404), 2, 30, 40),
		), found{}},
		"ItIsCountedOnce": {history(
			at(blob(load.BlobCommit, 201), 1, 10, 20), at(blob(load.BlobGet, 404), 1, 30, 40),
		), found{false404: 1}},
		"ASharedTagIsNotListed": {history(
			at(put(other, one, 201), 1, 10, 20), at(list(), 2, 30, 40),
		), found{false404: 1}},
		"ASharedTagIsNotListedInTheEnd": {history(
			at(put(other, one, 201), 1, 10, 20), final(at(list(), 2, 30, 40)),
		), found{lost: 1}},
		"ASharedTagThatIsBeingSetMayNotBeListed": {history(
			at(put(other, one, 201), 1, 10, 35), at(list(), 2, 30, 40),
		), found{}},
		"AnUnknownWriteOfWhatIsThereMayComeLater": {history(
			put(tag, one, 201), put(tag, one, 0), put(tag, two, 201), get(tag, one), final(get(tag, one)),
		), found{}},
		"AnUnknownDeleteOfWhatIsNotThereMayComeLater": {history(
			put(tag, one, 201), del(load.TagDelete, tag, 202), del(load.TagDelete, tag, 0), put(tag, one, 201), final(get(tag, "")),
		), found{}},
	}
	run(t, tests)
}

// TestMore: what no other history asks for.
func TestMore(t *testing.T) {
	run(t, map[string]judged{
		"ADeleteIsToldThatATagIsNotThere": {history(put(tag, one, 201), del(load.TagDelete, tag, 404)), found{false404: 1}},
		"AnUnknownDeleteOfAManifestMayNotTakeItsTag": {
			history(put(tag, one, 201), del(load.ManifestDelete, one, 503), final(get(tag, one)), final(get(one, one))), found{},
		},
		"ItsTagIsThereBecauseItMovedBefore": {
			history(put(tag, one, 201), put(tag, two, 201), del(load.ManifestDelete, one, 202), final(get(tag, two))), found{},
		},
		"ADeletedManifestTakesATagThatMayHoldIt": {
			history(put(tag, one, 201), put(tag, two, 503), del(load.ManifestDelete, two, 202), final(get(tag, ""))), found{},
		},
		"AListCannotBeReadInTheEnd": {history(final(load.Call{Op: load.TagsList, Status: 503})), found{lost: 1}},
		"AListNamesATagTwice":       {history(list("a", "a")), found{corrupt: 1}},
		"AnUploadIsUnknownWhenAsked": {
			history(blob(load.BlobAppend, 202), blob(load.BlobStatus, 404)), found{false404: 1},
		},
		"AMountThatBecameAnUploadProvesNothing": {
			history(at(blob(load.BlobMount, 202), 1, 10, 20), at(blob(load.BlobGet, 404), 2, 30, 40)), found{},
		},
		"ASharedTagCannotBeReadInTheEnd": {
			history(put(other, one, 201), final(load.Call{Op: load.ManifestGet, Ref: other, Status: 503})), found{lost: 1},
		},
		"ASharedTagHasWhatWasRefused": {
			history(at(put(other, one, 400), 1, 10, 20), at(get(other, one), 2, 30, 40)), found{lost: 1, unexpected: 1},
		},
		"ASharedTagHasWhatIsPutLater": {
			history(at(get(other, one), 2, 30, 40), at(put(other, one, 201), 1, 50, 60)), found{lost: 1},
		},
	})
	calls := history(put(tag, one, 201), put(tag, two, 201), final(get(tag, two)))
	calls[0], calls[1] = calls[1], calls[0]
	if v := check.History(calls); !v.Sound() {
		t.Errorf("calls recorded out of their order: %s", strings.Join(v.Problems, "\n"))
	}
}

type judged struct {
	calls []load.Call
	want  found
}

func run(t *testing.T, tests map[string]judged) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := check.History(test.calls)
			if got := (found{v.Lost, v.Corrupt, v.Resurrected, v.False404, v.Unexpected}); got != test.want {
				t.Errorf("found %+v, want %+v\n%s", got, test.want, strings.Join(v.Problems, "\n"))
			}
		})
	}
}
