package quota_test

import (
	"testing"

	datas3 "holdfast/internal/data/s3"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/s3/s3test"
)

// TestBoundS3 is TestBound over real stores.
func TestBoundS3(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		client := server.Client(t)
		budget, err := datas3.NewBudget(0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = budget.Close() })
		bound(t, &site{t: t, records: records3.New(client, ""), segments: datas3.New(client, "", budget)}, 1024*kib, 180)
	})
}
