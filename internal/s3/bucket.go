package s3

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Settings are the settings of a bucket that matter to a registry.
type Settings struct {
	// Versioned: deletes keep the bytes as old versions.
	Versioned bool
	// Locked: new objects are under a retention that forbids their deletion.
	Locked bool
	// Expiring names the first lifecycle rule that deletes or archives objects below the client's base.
	Expiring string
	// AbortDays is the shortest life in days that a lifecycle rule leaves a multipart upload; 0 for no rule.
	AbortDays int32
}

// Settings reads the bucket's settings. What the store does not tell (not implemented, no permission) is
// left at zero and named in unknown. Errors: those of a store that does not answer.
func (c *Client) Settings(ctx context.Context) (settings Settings, unknown []string, err error) {
	for _, part := range []struct {
		name string
		read func(context.Context, *Settings) error
	}{
		{"versioning", c.versioning}, {"object lock", c.objectLock}, {"lifecycle", c.lifecycle},
	} {
		err := part.read(ctx, &settings)
		var e *Error
		switch {
		case err == nil:
		case errors.As(err, &e) && e.Status != 0 && (e.Status < 500 || e.Status == 501):
			if !none(e.Code) {
				unknown = append(unknown, part.name)
			}
		default:
			return Settings{}, nil, err
		}
	}
	return settings, unknown, nil
}

// none are the codes that say: there is no such configuration.
func none(code string) bool {
	switch code {
	case "ObjectLockConfigurationNotFoundError", "NoSuchLifecycleConfiguration":
		return true
	}
	return false
}

func (c *Client) versioning(ctx context.Context, settings *Settings) error {
	return c.do(ctx, metadata("GetBucketVersioning"), func(w *watch) error {
		out, err := c.sdk.GetBucketVersioning(w.ctx, &s3.GetBucketVersioningInput{Bucket: c.bucket()})
		if err == nil {
			settings.Versioned = out.Status == types.BucketVersioningStatusEnabled
		}
		return err
	})
}

func (c *Client) objectLock(ctx context.Context, settings *Settings) error {
	return c.do(ctx, metadata("GetObjectLockConfiguration"), func(w *watch) error {
		out, err := c.sdk.GetObjectLockConfiguration(w.ctx, &s3.GetObjectLockConfigurationInput{Bucket: c.bucket()})
		if err == nil && out.ObjectLockConfiguration != nil {
			settings.Locked = out.ObjectLockConfiguration.Rule != nil
		}
		return err
	})
}

func (c *Client) lifecycle(ctx context.Context, settings *Settings) error {
	return c.do(ctx, metadata("GetBucketLifecycleConfiguration"), func(w *watch) error {
		out, err := c.sdk.GetBucketLifecycleConfiguration(w.ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: c.bucket()})
		if err != nil {
			return err
		}
		for _, rule := range out.Rules {
			if rule.Status != types.ExpirationStatusEnabled || !c.overlaps(rule) {
				continue
			}
			if abort := rule.AbortIncompleteMultipartUpload; abort != nil {
				if days := aws.ToInt32(abort.DaysAfterInitiation); settings.AbortDays == 0 || days < settings.AbortDays {
					settings.AbortDays = days
				}
			}
			if settings.Expiring == "" && expires(rule) {
				settings.Expiring = aws.ToString(rule.ID)
				if settings.Expiring == "" {
					settings.Expiring = "without an id"
				}
			}
		}
		return nil
	})
}

// overlaps reports whether a rule may touch keys below the base. Rules by tag alone do not: we set none.
func (c *Client) overlaps(rule types.LifecycleRule) bool {
	prefix := aws.ToString(rule.Prefix) //nolint:staticcheck // SA1019: old rules still have it
	if f := rule.Filter; f != nil {
		switch {
		case f.Tag != nil, f.And != nil && len(f.And.Tags) > 0:
			return false
		case f.Prefix != nil:
			prefix = *f.Prefix
		case f.And != nil:
			prefix = aws.ToString(f.And.Prefix)
		}
	}
	return strings.HasPrefix(c.base, prefix) || strings.HasPrefix(prefix, c.base)
}

func expires(rule types.LifecycleRule) bool {
	e := rule.Expiration
	if e != nil && (e.Date != nil || aws.ToInt32(e.Days) > 0) {
		return true
	}
	for _, t := range rule.Transitions {
		switch t.StorageClass {
		case types.TransitionStorageClassGlacier, types.TransitionStorageClassDeepArchive:
			return true
		}
	}
	return false
}
