//go:build !linux

package file

import "io/fs"

// fingerprint knows nothing: files are hashed at every read.
func fingerprint(fs.FileInfo) string { return "" }
