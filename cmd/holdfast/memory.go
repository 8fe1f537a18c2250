package main

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"

	"holdfast/internal/memory"
)

// shares is how a server with a configured memory for uploads, 0 for none, uses the memory that the control groups leave it.
// An error says that there may be a limit that it does not know of.
func shares(uploads int64) (memory.Shares, error) {
	limit, err := memory.Limit(os.DirFS("/"))
	return memory.Share(limit, uploads), err
}

// limitMemory sets Go's soft limit, unless GOMEMLIMIT has, and says in one line what the process works with. GOMAXPROCS
// follows the control groups by itself.
func limitMemory(ctx context.Context, uploads int64, log *slog.Logger) {
	s, err := shares(uploads)
	if err != nil {
		log.WarnContext(ctx, "a limit of memory cannot be read: set GOMEMLIMIT and storage.memoryBudget where there is one", "err", err)
	}
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set && s.Heap > 0 {
		debug.SetMemoryLimit(s.Heap)
	}
	heap := debug.SetMemoryLimit(-1)
	if heap == math.MaxInt64 {
		heap = 0
	}
	log.InfoContext(ctx, "memory and processors; 0 is no limit", "memory_limit", s.Limit, "go_memory_limit", heap, "upload_memory", s.Uploads, "processors", runtime.GOMAXPROCS(0))
}
