package probe

import (
	"fmt"
	"time"

	"holdfast/internal/s3"
)

// Tier is how far a store's conditions can be relied on.
type Tier string

const (
	// TierA means that conditional PUT and conditional DELETE decide races.
	TierA Tier = "A"
	// TierB means that conditional PUT decides races: tombstones are kept, for DELETE does not.
	TierB Tier = "B"
)

// Result is what the self-test found on a store that it accepts.
type Result struct {
	Tier     Tier      `json:"tier"`
	Traits   s3.Traits `json:"traits"`
	Server   string    `json:"server"`   // the store's own name, "" where it gives none
	Warnings []string  `json:"warnings"` // for the operator; nil for none
	Notes    []string  `json:"notes"`    // for the curious
	// CanDelete is false when the credentials may not delete: the collector must be off then.
	CanDelete bool `json:"canDelete"`
	// ClockSkew is how far the store's clock is ahead of the local one, to a second or two.
	ClockSkew time.Duration `json:"clockSkew"`

	// Endpoint, Bucket and Region of the store; Version of the program that tested it, and when by the store's clock.
	Endpoint string    `json:"endpoint"`
	Bucket   string    `json:"bucket"`
	Region   string    `json:"region"`
	Version  string    `json:"version"`
	Time     time.Time `json:"time"`

	// Cached: the result is an earlier one that a quick test has confirmed. A full test should follow
	// in the background.
	Cached bool `json:"-"`
	// Forget removes what the quick test wrote, with one request that nothing has to wait for; nil where nothing is left. It does not
	// end with the context of Ensure. A process that dies before leaves one small key, which a full test removes an hour later.
	Forget func() `json:"-"`
}

func (r *Result) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

func (r *Result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Reason sorts refusals.
type Reason string

// The reasons.
const (
	Bucket      Reason = "bucket"      // it does not exist
	Credentials Reason = "credentials" // missing, wrong or expired
	Permission  Reason = "permission"  // one is missing; Finding names it
	Region      Reason = "region"      // another than the bucket's
	Clock       Reason = "clock"       // too far from the store's, or the store's nodes differ
	TLS         Reason = "tls"         // certificate, or http where https is asked for
	Conditions  Reason = "conditions"  // conditional writes are ignored or not atomic
	Consistency Reason = "consistency" // stale or torn reads, stale lists
	Reads       Reason = "reads"       // they end before their length, again and again: the store, or what lies between
	Multipart   Reason = "multipart"   // multipart uploads do not work as they must
	Setting     Reason = "setting"     // a setting of the bucket would destroy data, or forbids deletion
	Request     Reason = "request"     // the store refuses a request that it must support
)

// Refused is the error of a store that answers, but must not be used.
type Refused struct {
	Reason  Reason
	Finding string // what was seen
	Remedy  string // what to do
	Err     error  // the store's answer, nil where it was a 200
}

// Error says what was seen and what to do about it.
func (r *Refused) Error() string {
	return fmt.Sprintf("s3: this store is refused: %s. %s", r.Finding, r.Remedy)
}

// Unwrap returns the store's answer.
func (r *Refused) Unwrap() error { return r.Err }

const knownGood = "Stores that are known to work: AWS S3, MinIO, Ceph RGW, versitygw, Cloudflare R2"

func unconditional(format string, args ...any) *Refused {
	return &Refused{
		Reason:  Conditions,
		Finding: fmt.Sprintf(format, args...),
		Remedy:  "Tags would be lost under concurrent pushes. Update the store, or use another. " + knownGood,
	}
}

func inconsistent(format string, args ...any) *Refused {
	return &Refused{
		Reason:  Consistency,
		Finding: fmt.Sprintf(format, args...),
		Remedy: "The store must show every write at once. On StorageGRID set the bucket's consistency to strong-site or strong-global; " +
			"take caches and asynchronous replicas out of the way. " + knownGood,
	}
}
