package probe

import (
	"context"
	"strings"

	"holdfast/internal/s3"
)

// longParts are the lengths of a key's part that are tried, in bytes: the longest that a repository name
// may ask for, and what gateways over a file system leave of it that write beside a file before they
// replace it (versitygw takes 28 bytes for that name).
var longParts = []int{s3.LongestPart, 227, 200}

// keys learns how long a part of a key may be that is created and then replaced.
func (p *probe) keys(ctx context.Context) error {
	var last error
	for _, length := range longParts {
		if last = p.replaceKey(ctx, p.dir+strings.Repeat("k", length)); last == nil {
			if length < s3.LongestPart {
				p.result.Traits.MaxPart = length
				p.result.warn("the store replaces no key with a part of more than %d bytes: longer repository names are refused", length)
			}
			return nil
		}
		if s3.IsContext(last) || s3.KindOf(last) == s3.Timeout {
			break
		}
	}
	return p.diagnose(last, "s3:PutObject")
}

func (p *probe) replaceKey(ctx context.Context, key string) error {
	created, err := p.put(ctx, key, nonce(valueSize), s3.Condition{Absent: true})
	if err != nil {
		return err
	}
	_, err = p.put(ctx, key, nonce(valueSize), s3.Condition{Match: p.form.Format(created.Version)})
	return err
}
