package cached

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// errCount is a counter that the cache refused: it says nothing of values.
var errCount = errors.New("cached: count")

// Count adds n to a counter that replicas share, and that ends ttl after it began, and tells done what it is then. It does not wait: it is done in the background, and
// not at all when there is no shared cache, or none that answers. A cache that answers with an error, for it may not count, is used for values all the same. What it
// tells may be wrong, as all that a shared cache says: nothing that must be exact may depend on it.
func (s *Store) Count(name string, n int64, ttl time.Duration, done func(total int64)) {
	sealer, ok := s.sealer()
	if !ok {
		return
	}
	key := "hf1:" + base64.RawURLEncoding.EncodeToString(sealer.mac("cached count", []byte(name))[:24]) // tells nobody there who asks for what
	s.shared.later(func(ctx context.Context) error {
		total, err := s.shared.cache.Add(ctx, key, n, ttl)
		switch {
		case err == nil:
			done(total)
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("cached: add: %w", err)
		}
		return fmt.Errorf("%w: %w", errCount, err)
	})
}
