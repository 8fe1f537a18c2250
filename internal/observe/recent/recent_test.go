package recent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/observe/recent"
	"holdfast/internal/observe/request"
	"holdfast/internal/observe/stores"
)

func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recent.Requests
		begin := func(route request.Route) func(request.Outcome) {
			_, end := r.Begin(t.Context(), &request.Request{Route: route}, nil)
			return end
		}
		goesOn := begin(request.Route{Name: "blob"})
		for _, status := range []int{200, 201, 307, 404, 416, 500, 503} {
			begin(request.Route{Name: "blob"})(request.Outcome{Status: status})
		}
		begin(request.Route{Name: "blob"})(request.Outcome{Status: 200, Cut: true})
		begin(request.Route{Name: "health", Quiet: true})(request.Outcome{Status: 503})
		want := recent.Ended{Total: 8, ClientErrors: 2, ServerErrors: 2, Cut: 1}
		if got := r.LastMinute(); got != want || r.InFlight() != 1 {
			t.Errorf("%+v, %d in flight, want %+v", got, r.InFlight(), want)
		}
		time.Sleep(54 * time.Second)
		goesOn(request.Outcome{Status: 200})
		want.Total++
		if got := r.LastMinute(); got != want || r.InFlight() != 0 {
			t.Errorf("after 54 s %+v, want %+v", got, want)
		}
		time.Sleep(6 * time.Second)
		if got, want := r.LastMinute(), (recent.Ended{Total: 1}); got != want {
			t.Errorf("after a minute %+v, want %+v", got, want)
		}
		time.Sleep(24 * time.Hour)
		if got := r.LastMinute(); got != (recent.Ended{}) {
			t.Errorf("a day later %+v", got)
		}
	})
}

func TestCalls(t *testing.T) {
	for _, took := range []time.Duration{0, time.Microsecond, 3 * time.Microsecond, 999 * time.Microsecond, time.Millisecond, 17 * time.Millisecond, time.Second, time.Hour} {
		var c recent.Calls
		c.Answered(took, false)
		if got := c.LastMinute(); got.P50 < took || got.P99 < took || float64(got.P99) > 1.25*float64(took)+4000 {
			t.Errorf("%s became %s and %s", took, got.P50, got.P99)
		}
	}
	var c recent.Calls
	if got := c.LastMinute(); got != (recent.Answers{}) {
		t.Errorf("of nothing: %+v", got)
	}
	for i := range 1000 {
		c.Answered(time.Duration(i+1)*time.Millisecond, i%10 == 0)
	}
	got := c.LastMinute()
	if got.Total != 1000 || got.Failed != 100 || got.P50 < 500*time.Millisecond || got.P50 > 640*time.Millisecond || got.P99 < 990*time.Millisecond || got.P99 > 1250*time.Millisecond {
		t.Errorf("of 1 to 1000 ms: %+v", got)
	}
}

// TestWhatFails: an outage counts, an answer that says no does not, nor does a caller that left, or the bytes of a blob.
func TestWhatFails(t *testing.T) {
	var c recent.Calls
	for _, outcome := range stores.Outcomes() {
		_, end := c.BeginStore(t.Context(), stores.Call{Key: "tag"})
		end(stores.Result{Outcome: outcome, Sent: 1})
		_, end = c.BeginStore(t.Context(), stores.Call{Key: stores.SegmentKey})
		end(stores.Result{Outcome: outcome, Sent: 1})
	}
	all := int64(len(stores.Outcomes()))
	if got := c.LastMinute(); got.Total != all-1 || got.Failed != all-4 {
		t.Errorf("%+v", got)
	}
}
