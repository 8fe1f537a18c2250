package cached

import (
	"context"
	"encoding/base64"
	"time"
)

// Count adds n to a counter that replicas share, and that ends ttl after it began, and tells done what it is then. It does not wait: it is done in the background, and
// not at all when there is no shared cache, or none that answers. What it tells may be wrong, as all that a shared cache says: nothing that must be exact may depend on it.
func (s *Store) Count(name string, n int64, ttl time.Duration, done func(total int64)) {
	sealer, ok := s.sealer()
	if !ok {
		return
	}
	key := "hf1:" + base64.RawURLEncoding.EncodeToString(sealer.mac("cached count", []byte(name))[:24]) // tells nobody there who asks for what
	s.shared.later(func(ctx context.Context) error {
		total, err := s.shared.cache.Add(ctx, key, n, ttl)
		if err == nil {
			done(total)
		}
		return err //nolint:wrapcheck // counted by its kind
	})
}
