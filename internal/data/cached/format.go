package cached

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"holdfast/internal/data"
)

const (
	// chunkBytes is what is read, compared and shown to readers at once.
	chunkBytes = 256 << 10
	// trailerBytes: 16 bytes of magic, the id's 16, the size in 8, the CRC-32C of the sums and of the trailer before it in 4, and 4 of zero.
	trailerBytes = 48
	magic        = "holdfast copy 1\n"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errNoCopy = errors.New("it is no whole copy of the segment")

func checksum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// chunks is how many chunks a segment of size bytes has.
func chunks(size int64) int64 { return (size + chunkBytes - 1) / chunkBytes }

// fileBytes is how long the copy of a segment of size bytes is.
func fileBytes(size int64) int64 { return size + 4*chunks(size) + trailerBytes }

// appendSums returns what follows a segment's bytes in its copy.
func appendSums(id data.ID, size int64, sums []uint32) ([]byte, error) {
	raw, err := hex.DecodeString(string(id))
	if err != nil || len(raw) != 16 {
		return nil, fmt.Errorf("no id: %q", id)
	}
	end := make([]byte, 0, 4*len(sums)+trailerBytes)
	for _, sum := range sums {
		end = binary.BigEndian.AppendUint32(end, sum)
	}
	end = append(end, magic...)
	end = append(end, raw...)
	end = binary.BigEndian.AppendUint64(end, uint64(size)) //nolint:gosec // G115: a size is never negative
	end = binary.BigEndian.AppendUint32(end, checksum(end))
	return append(end, 0, 0, 0, 0), nil
}

// readSums reads the end of a file that should be the copy of a segment, and returns the segment's size and the sums of its chunks. Errors: errNoCopy; the
// file's.
func readSums(f io.ReaderAt, length int64, id data.ID) (size int64, sums []uint32, err error) {
	var trailer [trailerBytes]byte
	if length < trailerBytes {
		return 0, nil, errNoCopy
	}
	if _, err := f.ReadAt(trailer[:], length-trailerBytes); err != nil {
		return 0, nil, err
	}
	stored := binary.BigEndian.Uint64(trailer[32:40])
	if stored > uint64(length) || fileBytes(int64(stored)) != length { //nolint:gosec // G115: it is not larger than length, which is none
		return 0, nil, errNoCopy
	}
	size = int64(stored) //nolint:gosec // G115: as above
	end := make([]byte, length-size)
	if _, err := f.ReadAt(end, size); err != nil {
		return 0, nil, err
	}
	sums = make([]uint32, chunks(size))
	for i := range sums {
		sums[i] = binary.BigEndian.Uint32(end[4*i:])
	}
	whole, err := appendSums(id, size, sums)
	if err != nil || string(whole) != string(end) {
		return 0, nil, errNoCopy
	}
	return size, sums, nil
}

func valid(id data.ID) bool {
	return len(id) == 32 && strings.Trim(string(id), "0123456789abcdef") == ""
}
