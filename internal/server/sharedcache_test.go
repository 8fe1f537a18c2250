package server

import (
	"testing"

	"holdfast/internal/config"
)

// TestCacheMemory: 0 in a file is none, and not the default.
func TestCacheMemory(t *testing.T) {
	if got := cacheFrom(config.Cache{}).Memory; got >= 0 {
		t.Errorf("0: %d", got)
	}
	if got := cacheFrom(config.Cache{Memory: 1 << 20}).Memory; got != 1<<20 {
		t.Errorf("1 MiB: %d", got)
	}
}
