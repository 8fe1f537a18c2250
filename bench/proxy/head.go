package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

const maxHead = 64 << 10 // bytes of a head; S3's are below 8 KiB

// The lengths of a body that no number says.
const (
	chunked    = -1
	untilClose = -2
)

// head is the head of a request or of an answer.
type head struct {
	raw    []byte // all of it, with the empty line; valid until the next read into the same buffer
	length int64  // of the body, or chunked; 0 where the head does not say
	told   bool   // the head says a length
	copied bool   // x-amz-copy-source is there
}

// readHead reads a head into buf, which it may grow.
func readHead(r *bufio.Reader, buf []byte) (h head, err error) {
	buf = buf[:0]
	for {
		line, err := r.ReadSlice('\n')
		buf = append(buf, line...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(buf) <= maxHead:
			continue
		case err != nil:
			return head{}, err
		case len(buf) > maxHead:
			return head{}, errors.New("proxy: a head is too long")
		}
		if bytes.HasSuffix(buf, []byte("\n\r\n")) || bytes.HasSuffix(buf, []byte("\n\n")) {
			break
		}
	}
	h.raw = buf
	_, rest, _ := bytes.Cut(buf, []byte("\n"))
	for line := range bytes.Lines(rest) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "Content-Length"):
			if h.length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return head{}, fmt.Errorf("proxy: parse a length: %w", err)
			}
			h.told = true
		case is(name, "Transfer-Encoding"):
			h.length, h.told = chunked, true
		case is(name, "X-Amz-Copy-Source"):
			h.copied = true
		}
	}
	return h, nil
}

func is(name []byte, want string) bool {
	return len(name) == len(want) && bytes.EqualFold(name, []byte(want))
}

// status is that of an answer, 0 when it is none.
func (h head) status() int {
	fields := bytes.Fields(h.raw[:min(len(h.raw), 64)])
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(string(fields[1]))
	return n
}

// kind is the operation of S3 that a request with a path-style URL asks for.
func (h head) kind() Kind {
	method, rest, _ := bytes.Cut(h.raw, []byte(" "))
	target, _, _ := bytes.Cut(rest, []byte(" "))
	path, query, _ := bytes.Cut(target, []byte("?"))
	_, key, _ := bytes.Cut(bytes.TrimPrefix(path, []byte("/")), []byte("/"))
	has := func(name string) bool {
		for part := range bytes.SplitSeq(query, []byte("&")) {
			if n, _, _ := bytes.Cut(part, []byte("=")); string(n) == name {
				return true
			}
		}
		return false
	}
	switch string(method) {
	case "GET":
		switch {
		case len(key) == 0 && has("uploads"):
			return ListUploads
		case len(key) == 0:
			return List
		case has("uploadId"):
			return ListParts
		}
		return Get
	case "HEAD":
		return Head
	case "PUT":
		switch {
		case h.copied:
			return Copy
		case has("partNumber"):
			return Part
		}
		return Put
	case "POST":
		switch {
		case has("uploads"):
			return Create
		case has("uploadId"):
			return Complete
		case has("delete"):
			return Delete
		}
	case "DELETE":
		if has("uploadId") {
			return Abort
		}
		return Delete
	}
	return Other
}
