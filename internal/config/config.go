package config

import (
	"log/slog"
	"net"
	"strconv"
	"time"
)

// Config is what the file says, with defaults filled in. What Load returns has been validated.
type Config struct {
	// DistSpecVersion is only shown: the version spoken is the program's own.
	DistSpecVersion string
	Storage         Storage
	HTTP            HTTP
	Log             Log
	Scrub           Scrub
	Metrics         Metrics
	Tracing         Tracing
}

// Metrics is the endpoint for Prometheus.
type Metrics struct {
	// Enabled is true for a section extensions.metrics that does not say otherwise, as in zot.
	Enabled bool
	// Path is of the URL, with a slash before it; "/metrics" where the file does not say.
	Path string
}

// Driver says where a store keeps its bytes and records.
type Driver string

// The drivers.
const (
	DriverLocal Driver = "local" // RootDirectory: records in bolt, data in files
	DriverS3    Driver = "s3"    // a bucket, for records and data
)

// Storage is the store of all repositories, but for those below SubPaths.
type Storage struct {
	Store
	// SubPaths are stores of their own. A key is a repository path without slashes at its ends: its
	// store holds the repository of that name and all below it; the longest path wins.
	SubPaths map[string]Store
	// MemoryBudget is the memory in bytes that the uploads of the process share, at least 16 MiB. 0: 128 MiB, or less where memory is limited.
	MemoryBudget int64
}

// Store is one store.
type Store struct {
	Driver Driver
	// RootDirectory is the local driver's directory. The s3 driver uses no local disk: accepted, unused.
	RootDirectory string
	// S3 is the s3 driver's; otherwise zero.
	S3 S3
	// BlobCache is for what is pulled from S3.
	BlobCache BlobCache
	// Commit makes the local driver wait until the bytes of a blob are on disk. Records always are.
	Commit bool
	// Redirect answers whole blobs with a URL of the store, where the driver has such URLs.
	Redirect bool
	// RedirectRules say before Redirect for which clients and blobs that is so: the first that is for a request decides.
	RedirectRules []RedirectRule
	// IgnoreForeign starts although the directory or prefix holds what this program did not write.
	IgnoreForeign bool
	// DeleteEnabled is storage.delete, the same in all stores. Without it the deletes of the API answer 405.
	DeleteEnabled bool
	// MaxBlobSize is http.maxBlobSize in bytes, the same in all stores; 0: no limit.
	MaxBlobSize int64
	GC          GC
	Retention   Retention
	// MaxRepos is how many repositories the store may have; 0: no limit.
	MaxRepos int
	Quotas   []Quota
	Cache    Cache
}

// S3 is a bucket of S3, or of a store that speaks its protocol, and how to use it. The fields are the keys
// of storageDriver.
type S3 struct {
	// Bucket is never empty.
	Bucket string
	// RegionEndpoint is http(s)://host[:port], or host[:port], which Secure completes. Empty: the SDK's
	// environment, else AWS.
	RegionEndpoint string
	// Region may be empty: the SDK's environment.
	Region string
	// RootDirectory is the prefix of all keys. Slashes around it mean nothing; empty is the bucket's root.
	RootDirectory string

	// AccessKey and SecretKey are set both or not at all; without them the SDK's chain is used.
	AccessKey    Secret
	SecretKey    Secret
	SessionToken Secret

	// ForcePathStyle is nil where the file does not say: true with an endpoint, false on AWS.
	ForcePathStyle *bool
	// Secure selects https for an Endpoint without a scheme.
	Secure bool
	// SkipVerify accepts any certificate of the store.
	SkipVerify bool

	// ChunkSize is the size of a part in bytes, 5 MiB to 5 GiB; 0: the driver's default.
	ChunkSize int64
	// UserAgent is added to the SDK's.
	UserAgent string
	// StorageClass of the data; empty or "NONE": the bucket's.
	StorageClass string
	// Encrypt asks for encryption at rest: with the KMS key KeyID, else with AES256.
	Encrypt bool
	// KeyID is a KMS key; only with Encrypt.
	KeyID string

	// UseDualstack, Accelerate and UseFIPSEndpoint choose among the addresses of AWS.
	UseDualstack    bool
	Accelerate      bool
	UseFIPSEndpoint bool
}

// HTTP is the listener.
type HTTP struct {
	// Address is an IP address without brackets, or a host name; empty: every interface.
	Address string
	// Port is 0 to 65535; 0: any free one.
	Port int
	// ReadTimeout and WriteTimeout bound how long a connection may be idle, headers may take, and a body
	// may make no progress; never how long a transfer takes as a whole, which is what they do in zot. 0:
	// no bound was asked for; zot's negative values are 0 here.
	ReadTimeout  time.Duration
	WriteTimeout time.Duration
	// DrainDelay is how long after the order to stop requests are still accepted, while load balancers
	// learn of it.
	DrainDelay time.Duration
	// DrainTimeout is how long running requests may take to end after DrainDelay.
	DrainTimeout time.Duration
	// AdminAddress is host:port of a second listener: metrics, health and profiles, without a password. Empty: none.
	AdminAddress string

	TLS           TLS
	Auth          Auth
	AccessControl AccessControl
	Limits        Limits
	Proxy         Proxy
}

// Addr is Address and Port in the form of net.Listen.
func (h HTTP) Addr() string { return net.JoinHostPort(h.Address, strconv.Itoa(h.Port)) }

// Levels that zot has beside those of slog. Nothing is logged at panic or fatal: they mean "errors only,
// and hardly those".
const (
	LevelTrace = slog.LevelDebug - 4
	LevelFatal = slog.LevelError + 4
	LevelPanic = slog.LevelError + 8
)

// Log is where the log goes.
type Log struct {
	// Level is the lowest level that is written.
	Level slog.Level
	// Requests is the level of the line about a request that is no fault of ours: below Level none is written.
	Requests slog.Level
	// Output is "stdout", "stderr" or a path of a file to append to; empty: the program's default.
	Output string
	// Audit is where the audit log goes, as Output; empty: none.
	Audit string
}
