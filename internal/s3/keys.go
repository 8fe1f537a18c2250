package s3

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// keys are credentials of the configuration, which may be changed while requests go on. Each request asks for them: nothing
// remembers old ones. Safe for concurrent use.
type keys struct {
	now atomic.Pointer[aws.Credentials]
}

func (k *keys) set(accessKey string, secretKey, sessionToken Secret) {
	k.now.Store(&aws.Credentials{
		AccessKeyID: accessKey, SecretAccessKey: string(secretKey), SessionToken: string(sessionToken), Source: "configuration",
	})
}

// Retrieve implements aws.CredentialsProvider.
func (k *keys) Retrieve(context.Context) (aws.Credentials, error) { return *k.now.Load(), nil }

// SetKeys changes the credentials for the requests that begin from now on, retries included, and those of all Racers. false: the client was made
// without any, and goes by the SDK's chain.
func (c *Client) SetKeys(accessKey string, secretKey, sessionToken Secret) bool {
	if c.keys == nil {
		return false
	}
	c.keys.set(accessKey, secretKey, sessionToken)
	return true
}

// signer signs requests for S3. The SDK's remembers for a day what it derived from the secret of an access key, by the access key alone: another secret
// has another one. The zero value is ready to use, and safe for concurrent use.
type signer struct {
	now atomic.Pointer[signerOf]
}

type signerOf struct {
	secret string
	v4     *v4.Signer
}

// SignHTTP implements s3.HTTPSignerV4.
func (s *signer) SignHTTP(ctx context.Context, who aws.Credentials, r *http.Request, hash, service, region string, at time.Time, options ...func(*v4.SignerOptions)) error {
	now := s.now.Load()
	if now == nil || now.secret != who.SecretAccessKey {
		now = &signerOf{who.SecretAccessKey, v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })}
		s.now.Store(now)
	}
	return now.v4.SignHTTP(ctx, who, r, hash, service, region, at, options...)
}
