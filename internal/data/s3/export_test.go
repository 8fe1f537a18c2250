package s3

// LimitParts makes segments full after n parts.
func (s *Store) LimitParts(n int) { s.maxParts = n }
