package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

const (
	// DefaultPartSize is the size of a part of a multipart upload, and so the largest segment that is
	// written with a single PutObject.
	DefaultPartSize = 8 << 20
	// MinPartSize is S3's own lower limit for all parts but the last.
	MinPartSize = 5 << 20
	maxPartSize = 5 << 30
)

// Secret is a string that prints as "***" wherever it is formatted, logged or marshalled.
type Secret string

const masked = "***"

// String returns "***", or "" when nothing is set.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the value from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Config says which bucket to use and how. The zero value of a field is its documented default.
type Config struct {
	// Endpoint is the address of a store other than AWS: a URL, or host:port, which Secure
	// completes. Empty: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else AWS itself.
	Endpoint string
	// Region; empty: the SDK's chain (AWS_REGION, profile), else us-east-1.
	Region string
	// Bucket must exist.
	Bucket string
	// RootDirectory is the prefix of everything, "" for the bucket's root. Slashes around it mean
	// nothing. Keys lie below <RootDirectory>/holdfast/.
	RootDirectory string

	// AccessKey and SecretKey; both empty: the SDK's chain (environment, profile, web identity,
	// container, instance).
	AccessKey    string
	SecretKey    Secret
	SessionToken Secret

	// ForcePathStyle puts the bucket into the path instead of the host name. nil: true when there
	// is an endpoint, false on AWS.
	ForcePathStyle *bool
	// Insecure selects http for an Endpoint without a scheme.
	Insecure bool
	// SkipVerify accepts any TLS certificate.
	SkipVerify bool

	// PartSize in bytes, MinPartSize to 5 GiB; 0 means DefaultPartSize.
	PartSize int64
	// UserAgent is added to the SDK's own.
	UserAgent string
	// StorageClass of segments; "" and "NONE" leave it to the bucket. Records are always STANDARD.
	StorageClass string
	// Encrypt asks for server-side encryption: with the KMS key KeyID, else AES256.
	Encrypt bool
	// KeyID is a KMS key; only with Encrypt.
	KeyID string

	// UseDualstack, Accelerate and UseFIPS choose among the addresses of AWS.
	UseDualstack bool
	Accelerate   bool
	UseFIPS      bool

	// Observe, where set, is told of each operation when it begins: its name in S3's API and the key or prefix, relative to the client's base, "" for
	// the bucket's own. The context that it returns is that of the operation's requests. done is called once, with the number of requests that were sent, those
	// that were repeated included, and what came of it, as the caller gets it; for a read that is when the answer has begun. For metrics and traces.
	Observe func(ctx context.Context, op, key string) (requests context.Context, done func(sent int, err error))

	// Transport, where set, wraps the HTTP transport below all retries: it sees each request that
	// goes to the store, once. For metrics and for tests.
	Transport func(http.RoundTripper) http.RoundTripper
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var errs []error
	if c.Bucket == "" {
		errs = append(errs, errors.New("bucket: must be set"))
	}
	if (c.AccessKey == "") != (c.SecretKey == "") {
		errs = append(errs, errors.New("accesskey, secretkey: set both or neither"))
	}
	if c.PartSize != 0 && (c.PartSize < MinPartSize || c.PartSize > maxPartSize) {
		errs = append(errs, fmt.Errorf("chunksize: %d bytes is not between %d and %d", c.PartSize, int64(MinPartSize), int64(maxPartSize)))
	}
	if c.KeyID != "" && !c.Encrypt {
		errs = append(errs, errors.New("keyid: needs encrypt"))
	}
	if _, err := c.endpointURL(c.Endpoint); err != nil {
		errs = append(errs, fmt.Errorf("regionendpoint: %w", err))
	}
	if err := checkRoot(c.RootDirectory); err != nil {
		errs = append(errs, fmt.Errorf("rootdirectory: %w", err))
	}
	return errors.Join(errs...)
}

// endpointURL completes an endpoint that has no scheme, and returns "" for "".
func (c Config) endpointURL(endpoint string) (string, error) {
	if endpoint == "" {
		return "", nil
	}
	if !strings.Contains(endpoint, "://") {
		scheme := "https://"
		if c.Insecure {
			scheme = "http://"
		}
		endpoint = scheme + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("%q is not a URL", endpoint)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("%q is not host:port or http(s)://host:port", endpoint)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// checkRoot refuses parts that some stores cannot hold: empty, "." and "..", longer than 255 bytes.
func checkRoot(root string) error {
	root = strings.Trim(root, "/")
	if root == "" {
		return nil
	}
	for part := range strings.SplitSeq(root, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 {
			return fmt.Errorf("%q has a part that not every store can hold", root)
		}
	}
	return nil
}

// base returns the prefix of all keys, with a slash at its end.
func (c Config) base() string {
	if root := strings.Trim(c.RootDirectory, "/"); root != "" {
		return root + "/holdfast/"
	}
	return "holdfast/"
}

func (c Config) partSize() int64 {
	if c.PartSize == 0 {
		return DefaultPartSize
	}
	return c.PartSize
}
