package judge

import (
	"testing"

	"holdfast/test/history/call"
)

func TestSessions(t *testing.T) {
	run(t, []judged{
		{"chunk after chunk", []call.Call{
			chunk(call.Append, 0, 4, 1, 2, 202, offset(4)), chunk(call.Status, 0, 0, 3, 4, 204, offset(4)),
			chunk(call.Append, 4, 6, 5, 6, 202, offset(10)), chunk(call.Commit, 10, 0, 7, 8, 201),
		}, ""},
		{"the offset goes back", []call.Call{chunk(call.Append, 0, 4, 1, 2, 202, offset(4)), chunk(call.Status, 0, 0, 3, 4, 204, offset(0))}, "M4"},
		{"the acknowledged offset is wrong", []call.Call{chunk(call.Append, 0, 4, 1, 2, 202, offset(3))}, "M4"},
		{"a chunk in its place is refused", []call.Call{chunk(call.Append, 0, 4, 1, 2, 416, offset(0))}, "M4"},
		{"a chunk out of its place is refused", []call.Call{chunk(call.Append, 4, 2, 1, 2, 416, offset(0)), chunk(call.Append, 0, 4, 3, 4, 202, offset(4))}, ""},
		{"a chunk out of its place is taken", []call.Call{chunk(call.Append, 4, 2, 1, 2, 202, offset(6))}, "M4"},
		{"one of two wins", []call.Call{chunk(call.Append, 0, 4, 1, 9, 202, offset(4)), chunk(call.Append, 0, 6, 2, 8, 416, offset(4))}, ""},
		{"both of two win", []call.Call{chunk(call.Append, 0, 4, 1, 9, 202, offset(4)), chunk(call.Append, 0, 6, 2, 8, 202, offset(6))}, "M4"},
		{"a chunk without an answer came", []call.Call{chunk(call.Append, 0, 4, 1, 2, 503), chunk(call.Status, 0, 0, 3, 4, 204, offset(4))}, ""},
		{"a chunk without an answer did not", []call.Call{chunk(call.Append, 0, 4, 1, 2, 0), chunk(call.Status, 0, 0, 3, 4, 204, offset(0))}, ""},
		{"a chunk without an answer came in part", []call.Call{chunk(call.Append, 0, 4, 1, 2, 0), chunk(call.Status, 0, 0, 3, 4, 204, offset(2))}, "M4"},

		{"too few bytes are committed", []call.Call{chunk(call.Append, 0, 4, 1, 2, 202, offset(4)), chunk(call.Commit, 4, 0, 3, 4, 201)}, "M4"},
		{"too few bytes are refused", []call.Call{chunk(call.Append, 0, 4, 1, 2, 202, offset(4)), chunk(call.Commit, 4, 0, 3, 4, 400), chunk(call.Status, 0, 0, 5, 6, 204, offset(4))}, ""},
		{"the right bytes are refused", []call.Call{chunk(call.Append, 0, 10, 1, 2, 202, offset(10)), chunk(call.Commit, 10, 0, 3, 4, 400)}, "M4"},
		{"another digest is refused", []call.Call{chunk(call.Append, 0, 10, 1, 2, 202, offset(10)), chunk(call.Commit, 10, 0, 3, 4, 400, badSum), chunk(call.Commit, 10, 0, 5, 6, 201)}, ""},
		{"the rest comes with the commit", []call.Call{chunk(call.Append, 0, 4, 1, 2, 202, offset(4)), chunk(call.Commit, 4, 6, 3, 4, 201), chunk(call.Status, 0, 0, 5, 6, 404)}, ""},
		{"a commit may be repeated", []call.Call{chunk(call.Append, 0, 10, 1, 2, 202, offset(10)), chunk(call.Commit, 10, 0, 3, 4, 503), chunk(call.Commit, 10, 0, 5, 6, 201), chunk(call.Commit, 10, 0, 7, 8, 201)}, ""},
		{"an upload goes on after its commit", []call.Call{chunk(call.Append, 0, 4, 1, 2, 202, offset(4)), chunk(call.Commit, 4, 6, 3, 4, 201), chunk(call.Status, 0, 0, 5, 6, 204, offset(10))}, "M4"},
		{"one that was never written cannot tell", []call.Call{chunk(call.Commit, 0, 10, 3, 4, 201), chunk(call.Status, 0, 0, 5, 6, 204, offset(0))}, ""},
		{"a cancelled upload is gone", []call.Call{chunk(call.Append, 0, 4, 1, 2, 202, offset(4)), chunk(call.Cancel, 0, 0, 3, 4, 204), chunk(call.Append, 4, 6, 5, 6, 404)}, ""},
		{"a cancelled upload goes on", []call.Call{chunk(call.Append, 0, 4, 1, 2, 202, offset(4)), chunk(call.Cancel, 0, 0, 3, 4, 204), chunk(call.Append, 4, 6, 5, 6, 202, offset(10))}, "M4"},
		{"a cancelled upload is committed", []call.Call{chunk(call.Append, 0, 10, 1, 2, 202, offset(10)), chunk(call.Cancel, 0, 0, 3, 4, 204), chunk(call.Commit, 10, 0, 5, 6, 201)}, "M4"},
		{"an upload that goes on is unknown", []call.Call{chunk(call.Append, 0, 4, 1, 2, 202, offset(4)), chunk(call.Status, 0, 0, 3, 4, 404)}, "M4"},
		{"chunks that do not say where they belong mix up the bytes", []call.Call{
			chunk(call.Append, 0, 4, 1, 2, 202, offset(4)), chunk(call.Append, 0, 6, 3, 4, 202, offset(10), func(c *call.Call) { c.Said = false }),
			chunk(call.Commit, 10, 0, 5, 6, 400),
		}, ""},
		{"and are no blob", []call.Call{
			chunk(call.Append, 0, 4, 1, 2, 202, offset(4)), chunk(call.Append, 0, 6, 3, 4, 202, offset(10), func(c *call.Call) { c.Said = false }),
			chunk(call.Commit, 10, 0, 5, 6, 201),
		}, "M4"},
	})
}
