package s3test

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"holdfast/internal/s3"
)

// Variable names the stores: name=URL|URL, separated by commas. Several URLs are several processes over
// one store.
const Variable = "HOLDFAST_TEST_S3"

// The credentials of every test store.
const (
	AccessKey = "test"
	SecretKey = "testtest"
)

// Server is a real S3 store.
type Server struct {
	Name      string
	Endpoints []string // at least one
}

// Servers returns the stores of HOLDFAST_TEST_S3, at least one. It fails the test where there is none.
func Servers(t testing.TB) []Server {
	t.Helper()
	var servers []Server
	for entry := range strings.SplitSeq(os.Getenv(Variable), ",") {
		name, urls, ok := strings.Cut(strings.TrimSpace(entry), "=")
		if !ok || urls == "" {
			continue
		}
		servers = append(servers, Server{Name: name, Endpoints: strings.Split(urls, "|")})
	}
	if len(servers) == 0 {
		t.Fatalf("%s names no S3 store. `make test` sets it, or: %s='versitygw=http://127.0.0.1:7070' (keys %s, %s)",
			Variable, Variable, AccessKey, SecretKey)
	}
	return servers
}

// Each runs test against every store, as a subtest with the store's name.
func Each(t *testing.T, test func(t *testing.T, server Server)) {
	t.Helper()
	for _, server := range Servers(t) {
		t.Run(server.Name, func(t *testing.T) { test(t, server) })
	}
}

// Config returns a configuration for the server's first endpoint and a prefix of this test's own, in a
// bucket that it makes.
func (s Server) Config(t testing.TB) s3.Config {
	t.Helper()
	const bucket = "holdfast-test"
	s.CreateBucket(t, bucket)
	return s3.Config{
		Endpoint:      s.Endpoints[0],
		Bucket:        bucket,
		RootDirectory: strings.ToLower(rand.Text()),
		AccessKey:     AccessKey,
		SecretKey:     SecretKey,
	}
}

// Traits is what the self-test finds on this store.
func (s Server) Traits() s3.Traits {
	if s.Name == "ceph" {
		return s3.Traits{ETagForm: s3.Unquoted, ConflictCode: "UnknownError"}
	}
	return s3.Traits{ETagForm: s3.Quoted, MaxPart: 227}
}

// Client returns a client for Config, changed by the options.
func (s Server) Client(t testing.TB, options ...func(*s3.Config)) *s3.Client {
	t.Helper()
	cfg := s.Config(t)
	for _, o := range options {
		o(&cfg)
	}
	return s.Open(t, cfg)
}

// Open returns a client for cfg that knows the server's traits.
func (s Server) Open(t testing.TB, cfg s3.Config) *s3.Client {
	t.Helper()
	c, err := s3.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c.SetTraits(s.Traits())
	t.Cleanup(c.Close)
	return c
}

// SDK returns the SDK's own client for the server's first endpoint.
func (s Server) SDK() *awss3.Client {
	return awss3.New(awss3.Options{
		BaseEndpoint: aws.String(s.Endpoints[0]),
		Region:       "us-east-1",
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
		HTTPClient:   &http.Client{},
	})
}

// CreateBucket makes a bucket that may be there already.
func (s Server) CreateBucket(t testing.TB, bucket string) {
	t.Helper()
	_, err := s.SDK().CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket})
	var there *types.BucketAlreadyOwnedByYou
	if err != nil && !errors.As(err, &there) {
		t.Fatalf("create bucket %s at %s: %v", bucket, s.Endpoints[0], err)
	}
}
