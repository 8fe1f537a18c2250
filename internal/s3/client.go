package s3

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
)

// Client makes requests to one bucket below one prefix: keys of its methods are relative to
// <RootDirectory>/holdfast/. Safe for concurrent use. Errors are *Error, or wrap the context error
// of a caller whose context has ended.
type Client struct {
	cfg         Config
	endpoint    string // "" for AWS
	base        string
	sdk         *s3.Client
	wire        *wire
	presign     *presigner
	credentials *aws.CredentialsCache // nil when they are of the configuration
	keys        *keys                 // nil when they are not
	transport   *http.Transport
	breaker     *breaker
	retries     *retryBudget
	clock       *clock
	traits      *atomic.Pointer[Traits]
	server      *atomic.Pointer[string]
	log         *slog.Logger
}

// ETagForm is how a store wants the ETag in If-Match.
type ETagForm string

// The two forms: AWS and nearly all others, and Ceph RGW up to Pacific at least.
const (
	Quoted   ETagForm = "quoted"
	Unquoted ETagForm = "unquoted"
)

// Traits is what the self-test learned about the store. The zero value is right for AWS, but for
// ConditionalDelete, which only the self-test turns on.
type Traits struct {
	// ETagForm; "" means Quoted.
	ETagForm ETagForm
	// ConditionalDelete: DELETE with If-Match is honoured, and one of racing writers wins.
	ConditionalDelete bool
	// ConflictCode is the code of a 500 with which the store answers those who lose a race of
	// conditional writes, where others say 409 or 412; "" for none. Ceph RGW 16 says UnknownError: an
	// ECANCELED of the guarded write that it has no status for. Nothing was written then.
	ConflictCode string
	// MaxPart is the longest part of a key, in bytes, that can be replaced; 0 means LongestPart.
	MaxPart int
}

// LongestPart is the longest part of a key that any record has, in bytes.
const LongestPart = 255

// New returns a client. It makes no request to the store; credentials are looked for at the first.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("s3: config: %w", err)
	}
	c := &Client{
		cfg:       cfg,
		base:      cfg.base(),
		transport: newTransport(cfg),
		breaker:   &breaker{log: log},
		retries:   newRetryBudget(),
		clock:     newClock(),
		traits:    new(atomic.Pointer[Traits]),
		server:    new(atomic.Pointer[string]),
		log:       log,
	}
	c.traits.Store(&Traits{})
	httpClient := c.newHTTPClient()

	options := []func(*config.LoadOptions) error{}
	if cfg.Region != "" {
		options = append(options, config.WithRegion(cfg.Region))
	}
	if cfg.AccessKey != "" {
		c.keys = new(keys)
		c.keys.set(cfg.AccessKey, cfg.SecretKey, cfg.SessionToken)
		options = append(options, config.WithCredentialsProvider(c.keys))
	}
	if cfg.UseDualstack {
		options = append(options, config.WithUseDualStackEndpoint(aws.DualStackEndpointStateEnabled))
	}
	if cfg.UseFIPS {
		options = append(options, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	sdk, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("s3: config: %w", err)
	}
	if sdk.Region == "" {
		sdk.Region = "us-east-1"
	}
	if cfg.AccessKey == "" {
		if cache, ok := sdk.Credentials.(*aws.CredentialsCache); ok {
			c.credentials = cache
		}
	}
	endpoint, err := cfg.endpointURL(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("s3: config: endpoint: %w", err)
	}
	signer := new(signer)
	c.sdk = s3.NewFromConfig(sdk, func(o *s3.Options) {
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
		if c.keys != nil {
			o.Credentials = c.keys // without the cache that the configuration put around it
		}
		o.UsePathStyle = o.BaseEndpoint != nil
		if cfg.ForcePathStyle != nil {
			o.UsePathStyle = *cfg.ForcePathStyle
		}
		o.UseAccelerate = cfg.Accelerate
		o.HTTPClient = httpClient
		o.HTTPSignerV4 = signer
		o.Retryer = aws.NopRetryer{} // all retries are in do
		o.Logger = logging.Nop{}
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
		o.DisableClockSkewCorrection = true // a clock that is minutes off is a finding, not a detail
		o.ContinueHeaderThresholdBytes = -1 // no round trip before a body
		if cfg.UserAgent != "" {
			o.APIOptions = append(o.APIOptions, awsmiddleware.AddUserAgentKey(cfg.UserAgent))
		}
	})
	c.endpoint = aws.ToString(c.sdk.Options().BaseEndpoint)
	c.presign = &presigner{sdk: s3.NewPresignClient(c.sdk), credentials: c.sdk.Options().Credentials}
	if c.wire, err = newWire(ctx, c.sdk, signer, httpClient.Transport, cfg); err != nil {
		return nil, err
	}
	return c, nil
}

// Racer returns a client that shares all but the connections: it has its own, to the i-th address
// (modulo their number) that the endpoint's name resolves to. For the self-test, whose racers must
// not meet in one connection, nor all at one node of the store. The caller closes it.
func (c *Client) Racer(i int) *Client {
	racer := *c
	racer.transport = newTransport(c.cfg)
	racer.transport.DialContext = dialNth(i)
	options := c.sdk.Options()
	httpClient := racer.newHTTPClient()
	options.HTTPClient = httpClient
	racer.sdk = s3.New(options)
	racer.wire = c.wire.over(httpClient.Transport)
	return &racer
}

// Close frees the idle connections. Requests in flight go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Traits returns what SetTraits set last.
func (c *Client) Traits() Traits { return *c.traits.Load() }

// SetTraits tells the client what the self-test found.
func (c *Client) SetTraits(t Traits) { c.traits.Store(&t) }

// Now is the store's clock: the Date of its answers and the monotonic time since, to a second; before
// the first answer the local clock. It is not before any time given to Wrote.
func (c *Client) Now() time.Time { return c.clock.now() }

// Wrote tells the clock the time of a write that the caller has seen.
func (c *Client) Wrote(t time.Time) { c.clock.wrote(t) }

// ClockOffset is how far the store's clock is ahead of the local one, to a second or two; false before the
// first answer.
func (c *Client) ClockOffset() (time.Duration, bool) { return c.clock.offset() }

// PartSize is the size of a part in bytes.
func (c *Client) PartSize() int64 { return c.cfg.partSize() }

// Bucket is the bucket's name.
func (c *Client) Bucket() string { return c.cfg.Bucket }

// Endpoint is the URL of the store, "" for AWS itself.
func (c *Client) Endpoint() string { return c.endpoint }

// Region is the region that requests are signed for.
func (c *Client) Region() string { return c.sdk.Options().Region }

// Server is the Server header of the last answer, "" without one.
func (c *Client) Server() string {
	if name := c.server.Load(); name != nil {
		return *name
	}
	return ""
}

// Served is how long ago the store did what it was asked for; a long time before the first time.
func (c *Client) Served() time.Duration { return c.breaker.served() }

// Silent reports whether the store has not answered lately, so that requests fail at once.
func (c *Client) Silent() bool { return !c.breaker.closed() }

// Log is the logger that the client was given.
func (c *Client) Log() *slog.Logger { return c.log }

func (c *Client) key(key string) *string { return aws.String(c.base + key) }

func (c *Client) bucket() *string { return aws.String(c.cfg.Bucket) }

// Match returns version as the store wants it in If-Match.
func (c *Client) Match(version string) string {
	if c.Traits().ETagForm == Unquoted {
		return version
	}
	return Quoted.Format(version)
}

// Format returns version, an ETag without quotes, in the form f.
func (f ETagForm) Format(version string) string {
	if f == Unquoted {
		return version
	}
	return `"` + version + `"`
}

// version is the canonical form of an ETag: without quotes.
func version(etag string) string { return strings.Trim(etag, `"`) }
