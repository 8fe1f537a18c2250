package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
)

// uid is the user and the group of the program: "nonroot" of the images without a distribution.
const uid = 65532

// entry is a file, or a folder when its name ends with a slash.
type entry struct {
	name string
	mode int64
	body []byte
}

// entries are the files of the image in the order of the archive, a folder before what is in it.
func entries(holdfast []byte) []entry {
	return []entry{
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, body: fmt.Appendf(nil, "root:x:0:\nholdfast:x:%d:\n", uid)},
		{name: "etc/passwd", mode: 0o644, body: fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nholdfast:x:%d:%d:holdfast:/:/sbin/nologin\n", uid, uid)},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, body: roots()},
		{name: "tmp/", mode: 0o1777},
		{name: "usr/", mode: 0o755},
		{name: "usr/bin/", mode: 0o755},
		{name: "usr/bin/holdfast", mode: 0o755, body: holdfast},
	}
}

// layer returns the compressed archive of what entries lists, and the digest of the archive itself. The files
// belong to root and have one time.
func layer(file string, at time.Time) (compressed []byte, plain digest.Digest, err error) {
	holdfast, err := os.ReadFile(file)
	if err != nil {
		return nil, "", fmt.Errorf("image: read program: %w", err)
	}
	var archive, out bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, e := range entries(holdfast) {
		h := tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.body)), ModTime: at, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if e.name[len(e.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(&h); err != nil {
			return nil, "", fmt.Errorf("image: write %s: %w", e.name, err)
		}
		if _, err := w.Write(e.body); err != nil {
			return nil, "", fmt.Errorf("image: write %s: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", fmt.Errorf("image: end archive: %w", err)
	}
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression) // its header has no name and no time
	if err != nil {
		return nil, "", fmt.Errorf("image: compress: %w", err)
	}
	if _, err := z.Write(archive.Bytes()); err != nil {
		return nil, "", fmt.Errorf("image: compress: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, "", fmt.Errorf("image: compress: %w", err)
	}
	return out.Bytes(), digest.FromBytes(archive.Bytes()), nil
}
