package load

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"
)

// content is bytes that follow from a name, so that any part of them can be made again.
type content struct {
	name   string
	size   int64
	digest digest.Digest
}

func newContent(name string, size int64) content {
	c := content{name: name, size: size}
	h := sha256.New()
	_, _ = io.Copy(h, c.reader(0)) // neither fails
	c.digest = digest.NewDigest(digest.SHA256, h)
	return c
}

// reader returns the bytes from offset on. It costs what making the bytes before offset costs.
func (c content) reader(offset int64) io.Reader {
	head := fmt.Sprintf("%s, %d bytes\n", c.name, c.size)
	all := io.LimitReader(io.MultiReader(bytes.NewReader([]byte(head)), rand.NewChaCha8(sha256.Sum256([]byte(head)))), c.size)
	_, _ = io.CopyN(io.Discard, all, offset) // offset lies within
	return all
}

// bytes returns length bytes from offset on.
func (c content) bytes(offset, length int64) []byte {
	b := make([]byte, length)
	_, _ = io.ReadFull(c.reader(offset), b) // the part lies within
	return b
}
