package s3_test

import (
	"testing"

	"holdfast/internal/record"
	"holdfast/internal/record/recordtest"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/s3/s3test"
)

func TestStore(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		recordtest.Run(t, func(t *testing.T) record.Store {
			return records3.New(server.Client(t), "")
		})
	})
}
