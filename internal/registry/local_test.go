package registry_test

import (
	"log/slog"
	"testing"

	datamem "holdfast/internal/data/mem"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
	"holdfast/internal/registry/registrytest"
)

func TestLocal(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) []registry.Registry {
		records, segments := recordmem.New(recordmem.Config{}), datamem.New(datamem.Config{})
		var replicas []registry.Registry
		for range registrytest.Replicas {
			r, err := registry.New(t.Context(), records, segments, registry.Config{}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(r.Close)
			replicas = append(replicas, r)
		}
		return replicas
	})
}
