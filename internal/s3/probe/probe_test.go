package probe_test

import (
	"testing"

	"holdfast/internal/s3/probe"
	"holdfast/internal/s3/s3test"
)

func TestRun(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		result, err := probe.Run(t.Context(), server.Client(t), probe.Options{Version: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if result.Traits != server.Traits() {
			t.Errorf("traits %+v, want %+v", result.Traits, server.Traits())
		}
		t.Logf("%+v", result)
	})
}
