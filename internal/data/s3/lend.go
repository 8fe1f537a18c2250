package s3

// lendShare of the memory is what readers may have of it, at most.
const lendShare = 2

// lendTo tells of readers who have memory to give back when writers want it.
func (b *Budget) lendTo(reclaim func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reclaim = append(b.reclaim, reclaim)
}

// Lendable implements shared.Memory: half of the budget.
func (b *Budget) Lendable() int64 { return int64(b.total/lendShare) * chunkSize }

// Lend implements shared.Memory. It lends nothing while writers wait, and what is warm before it lends nothing.
func (b *Budget) Lend(bytes, keep int64) [][]byte {
	n := int((bytes + chunkSize - 1) / chunkSize)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiters) > 0 || n > len(b.free)+b.warm.chunks || int64(b.lent+n)*chunkSize > b.Lendable()-keep {
		return nil
	}
	for n > len(b.free) {
		b.cool(nil)
	}
	b.lent += n
	at := len(b.free) - n
	pieces := make([][]byte, n)
	for i, chunk := range b.free[at:] {
		pieces[i] = chunk[:chunkSize] // writers cut theirs
	}
	b.free = b.free[:at]
	return pieces
}

// Return implements shared.Memory.
func (b *Budget) Return(pieces [][]byte) {
	b.mu.Lock()
	b.lent -= len(pieces)
	b.mu.Unlock()
	b.giveBack(pieces...)
}

// reclaimLent has readers give back what none of them needs, if writers are short of memory.
func (b *Budget) reclaimLent() {
	b.mu.Lock()
	short := len(b.free) == 0 && b.warm.chunks == 0 && b.lent > 0
	reclaim := b.reclaim
	b.mu.Unlock()
	if !short {
		return
	}
	for _, give := range reclaim {
		give()
	}
}
