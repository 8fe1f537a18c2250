package api

import (
	"net/http"
	"strconv"
	"strings"

	"holdfast/internal/oci"
)

// parseContentRange reads the Content-Range of a chunk, which the spec writes without a unit: the
// offsets of its first and last byte. Absent is (-1, -1). Errors: BLOB_UPLOAD_INVALID. Spec: "Pushing a
// blob in chunks".
func parseContentRange(header http.Header) (first, last int64, err error) {
	values := header.Values("Content-Range")
	if len(values) == 0 {
		return -1, -1, nil
	}
	text := values[0]
	from, to, found := strings.Cut(text, "-")
	if len(values) == 1 && found && isDigits(from) && isDigits(to) {
		first, err1 := strconv.ParseInt(from, 10, 64)
		last, err2 := strconv.ParseInt(to, 10, 64)
		if err1 != nil || err2 != nil || last == 1<<63-1 {
			return 0, 0, &oci.Error{Code: oci.BlobUploadInvalid, Message: "Content-Range exceeds the largest blob", Detail: oci.Field{Field: "Content-Range", Got: oci.Clip(text)}}
		}
		if first <= last {
			return first, last, nil
		}
	}
	return 0, 0, &oci.Error{Code: oci.BlobUploadInvalid, Message: "Content-Range must match ^[0-9]+-[0-9]+$, first byte and last byte of the chunk", Detail: oci.Field{Field: "Content-Range", Got: oci.Clip(text), Want: "^[0-9]+-[0-9]+$"}}
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// byteRange is a part of a blob; whole when the request asks for all of it.
type byteRange struct {
	offset, length int64
	whole          bool
}

// space is what may stand around the parts of a header (RFC 9110, 5.6.3).
const space = " \t"

// parseRange reads a Range header for a blob of size bytes (RFC 9110, 14.1.2). What is not one range of
// bytes is ignored, as the RFC allows, and so the blob is served whole. ok is false when the range is one
// that the blob does not have: 416.
func parseRange(header string, size int64) (rng byteRange, ok bool) {
	whole := byteRange{length: size, whole: true}
	unit, set, found := strings.Cut(strings.Trim(header, space), "=")
	if !found || !strings.EqualFold(unit, "bytes") || strings.Contains(set, ",") {
		return whole, true
	}
	from, to, found := strings.Cut(strings.Trim(set, space), "-")
	switch {
	case !found || (from == "" && to == "") || (from != "" && !isDigits(from)) || (to != "" && !isDigits(to)):
		return whole, true
	case from == "": // the last to bytes
		n, err := strconv.ParseInt(to, 10, 64)
		if err != nil || n > size {
			n = size
		}
		return byteRange{offset: size - n, length: n}, n > 0
	}
	first, err := strconv.ParseInt(from, 10, 64)
	if err != nil || first >= size {
		return whole, false
	}
	last := size - 1
	if to != "" {
		n, err := strconv.ParseInt(to, 10, 64)
		if err == nil && n < first {
			return whole, false
		}
		if err == nil && n < last {
			last = n
		}
	}
	return byteRange{offset: first, length: last - first + 1}, true
}
