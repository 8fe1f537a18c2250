package s3

import "context"

// LimitParts makes segments full after n parts.
func (s *Store) LimitParts(n int) { s.maxParts = n }

// TakeAll takes all of the budget as writers do, gives it back, and returns how many bytes could be had without waiting.
func (b *Budget) TakeAll(s *Store) int64 {
	never, cancel := context.WithCancel(context.Background())
	w := newWriter(never, s, "", "")
	defer b.leave(w)
	cancel()
	var taken [][]byte
	for {
		chunk, err := b.acquire(never, w)
		if err != nil {
			break
		}
		taken = append(taken, chunk)
	}
	b.giveBack(taken...)
	return int64(len(taken)) * chunkSize
}
