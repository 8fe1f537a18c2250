package s3

import (
	"context"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
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
