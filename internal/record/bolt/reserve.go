package bolt

import (
	"errors"
	"os"

	"go.etcd.io/bbolt"
)

// reserveSize is how many bytes of zeros the file holds beyond what is used: when blobs have filled the
// disk, records can still be written for a while, without which a collector could not even delete.
const reserveSize = 8 << 20

// reserve keeps the file ahead of its used part by half of reserveSize or more. It is best effort: a disk
// without room is asked again after the next transaction. No transaction is under way.
func (c *committer) reserve() {
	var used int64 // what lies behind it is no page
	err := c.db.View(func(tx *bbolt.Tx) error {
		used = tx.Size()
		return nil
	})
	if err != nil || c.reserved-used >= reserveSize/2 {
		return
	}
	if fill(c.path, max(used, c.reserved), used+reserveSize) == nil {
		c.reserved = used + reserveSize
	}
}

// fill writes zeros from one offset to another.
func fill(path string, from, to int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	zeros := make([]byte, 256<<10)
	for err == nil && from < to {
		var n int
		n, err = f.WriteAt(zeros[:min(int64(len(zeros)), to-from)], from)
		from += int64(n)
	}
	return errors.Join(err, f.Sync(), f.Close())
}
