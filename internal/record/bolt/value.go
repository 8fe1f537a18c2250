package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"holdfast/internal/record"
)

// A stored value is a header, big-endian, and the value's own bytes:
//
//	 0  1 byte   the header's format
//	 1  8 bytes  version: the bucket's sequence number at the write
//	 9  8 bytes  Modified, nanoseconds since 1970
//	17  4 bytes  CRC-32C of the value, then the key, then bytes 0 to 16
//	21           the value
//
// bbolt has no checksums of its own but for its two roots: the CRC is what finds a flipped bit.
const (
	headerFormat = 1
	headerSize   = 21
	sumOffset    = 17
)

// errDamaged is the cause where the file does not hold what was written.
var errDamaged = errors.New("the file is damaged")

// prepare returns a copy of value behind room for its header, with the value's part of the sum in it.
func prepare(value []byte) []byte {
	stored := make([]byte, headerSize+len(value))
	copy(stored[headerSize:], value)
	binary.BigEndian.PutUint32(stored[sumOffset:], crc32.Checksum(value, castagnoli()))
	return stored
}

// seal completes what prepare returned, for its key.
func seal(key, stored []byte, sequence uint64, modified int64) {
	stored[0] = headerFormat
	binary.BigEndian.PutUint64(stored[1:], sequence)
	binary.BigEndian.PutUint64(stored[9:], uint64(modified)) //nolint:gosec // G115: the bits are kept, decodeStamp turns them back
	ofValue := binary.BigEndian.Uint32(stored[sumOffset:])
	binary.BigEndian.PutUint32(stored[sumOffset:], sum(key, stored[:sumOffset], ofValue))
}

// decode returns the record in a stored value, its bytes copied. Errors: errDamaged.
func decode(key, stored []byte) (record.Record, error) {
	stamp, err := decodeStamp(stored)
	if err != nil {
		return record.Record{}, err
	}
	value := bytes.Clone(stored[headerSize:])
	if binary.BigEndian.Uint32(stored[sumOffset:]) != sum(key, stored[:sumOffset], crc32.Checksum(value, castagnoli())) {
		return record.Record{}, fmt.Errorf("%w: the checksum does not fit", errDamaged)
	}
	return record.Record{Value: value, Stamp: stamp}, nil
}

// decodeStamp reads the header alone; it checks no sum. Errors: errDamaged.
func decodeStamp(stored []byte) (record.Stamp, error) {
	if len(stored) <= headerSize || stored[0] != headerFormat {
		return record.Stamp{}, fmt.Errorf("%w: no header of a value", errDamaged)
	}
	modified := int64(binary.BigEndian.Uint64(stored[9:])) //nolint:gosec // G115: the bits that seal kept
	return record.Stamp{Version: versionOf(stored), Modified: time.Unix(0, modified).UTC()}, nil
}

// versionOf returns the version in a stored value.
func versionOf(stored []byte) record.Version {
	return record.Version(strconv.FormatUint(binary.BigEndian.Uint64(stored[1:]), 10))
}

// sum goes on from the sum of the value.
func sum(key, header []byte, ofValue uint32) uint32 {
	return crc32.Update(crc32.Update(ofValue, castagnoli(), key), castagnoli(), header)
}

// castagnoli returns the table of CRC-32C, which processors compute themselves.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
