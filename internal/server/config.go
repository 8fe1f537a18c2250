package server

import (
	"time"

	"holdfast/internal/s3"
)

// Config is everything that a server needs to know.
type Config struct {
	Version  string // of this program
	Storage  Storage
	SubPaths map[string]Storage // stores of their own for the repositories below a path
	// MemoryBudget bounds the bytes of uploads that are in memory on their way to S3, for the whole process; 0: 256 MiB.
	MemoryBudget int64

	Address      string        // host:port
	Progress     time.Duration // a body without progress for this long is cut; 0: never
	DrainDelay   time.Duration // how long a server that ends goes on serving, so that load balancers notice
	DrainTimeout time.Duration // how long it then waits for what is in flight
	NoDelete     bool          // deletes answer 405

	// ExitIfUnavailable gives up, with ErrUnavailable, when a store does not answer within ten seconds.
	// Else the server listens, is not ready, and tries for ever.
	ExitIfUnavailable bool
}

// Storage is one store: S3, or without it a directory of this machine.
type Storage struct {
	S3  *s3.Config
	Dir string

	NoSync        bool // local: acknowledged before it is on disk
	Redirect      bool // S3: clients read whole blobs from the store itself
	IgnoreForeign bool // start although another registry's data lies where ours would
	MaxBlobBytes  int64
}
