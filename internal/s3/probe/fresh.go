package probe

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/s3"
)

// fresh checks 20 times that what was written, overwritten or deleted through one connection is seen
// through others at once, by GET, HEAD and LIST.
func (p *probe) fresh(ctx context.Context) error {
	const workers, each = 4, 5
	group, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		group.Go(func() error {
			for i := range each {
				if err := p.freshKey(ctx, fmt.Sprintf("%sfresh-%d/%d", p.dir, w, i), w+i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (p *probe) freshKey(ctx context.Context, key string, n int) error {
	at := func(i int) *s3.Client { return p.racers[(n+i)%racers] }
	first, second := nonce(valueSize), nonce(2*valueSize)

	// An answer that the key is absent must not be remembered.
	if err := p.absent(ctx, at(0), key, "before it was written"); err != nil {
		return err
	}
	info, err := at(1).PutValue(ctx, key, first, s3.Condition{})
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	if err := p.present(ctx, at(2), key, info, first, "a new key", second); err != nil {
		return err
	}
	if info, err = at(3).PutValue(ctx, key, second, s3.Condition{}); err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	if err := p.present(ctx, at(4), key, info, second, "an overwritten key", first); err != nil {
		return err
	}
	if !p.deleted {
		return nil
	}
	if err := at(5).Delete(ctx, key, ""); err != nil {
		return p.diagnose(err, "s3:DeleteObject")
	}
	if err := p.absent(ctx, at(6), key, "after it was deleted"); err != nil {
		return err
	}
	if _, err := at(6).Head(ctx, key); err == nil {
		return inconsistent("HEAD shows a key that was deleted")
	} else if s3.KindOf(err) != s3.NotFound || s3.IsContext(err) {
		return p.diagnose(err, "s3:GetObject")
	}
	if _, ok, err := p.listed(ctx, at(6), key); err != nil {
		return err
	} else if ok {
		return inconsistent("a list shows a key that was deleted before")
	}
	return nil
}

func (p *probe) absent(ctx context.Context, from *s3.Client, key, when string) error {
	_, _, err := from.GetValue(ctx, key, maxValue)
	if err == nil {
		return inconsistent("GET finds a key %s", when)
	}
	if s3.KindOf(err) != s3.NotFound || s3.IsContext(err) {
		return p.diagnose(err, "s3:GetObject")
	}
	return nil
}

// present checks GET, HEAD and LIST of a key that was just written; old is the value before, if any.
func (p *probe) present(ctx context.Context, from *s3.Client, key string, info s3.Info, value []byte, what string, old []byte) error {
	which, err := p.value(ctx, from, key, value, old)
	switch {
	case err != nil && s3.KindOf(err) == s3.NotFound && !isRefused(err):
		return inconsistent("GET does not find %s", what)
	case err != nil:
		return p.diagnose(err, "s3:GetObject")
	case which != 0:
		return inconsistent("GET of %s shows the value before", what)
	}
	head, err := from.Head(ctx, key)
	switch {
	case err != nil && s3.KindOf(err) == s3.NotFound && !s3.IsContext(err):
		return inconsistent("HEAD does not find %s", what)
	case err != nil:
		return p.diagnose(err, "s3:GetObject")
	case head.Size != info.Size || head.Version != info.Version:
		return inconsistent("HEAD of %s shows another state", what)
	}
	item, ok, err := p.listed(ctx, from, key)
	switch {
	case err != nil:
		return err
	case !ok:
		return inconsistent("a list does not show %s", what)
	case item.Size != info.Size || item.Version != info.Version:
		return inconsistent("a list shows an old state of %s", what)
	}
	return nil
}

func (p *probe) listed(ctx context.Context, from *s3.Client, key string) (s3.Item, bool, error) {
	for item, err := range from.List(ctx, key, "") {
		if err != nil {
			return s3.Item{}, false, p.diagnose(err, "s3:ListBucket")
		}
		if item.Key == key {
			return item, true, nil
		}
	}
	return s3.Item{}, false, nil
}
