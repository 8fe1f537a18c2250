package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"holdfast/internal/s3"
)

func badMultipart(format string, args ...any) *Refused {
	return &Refused{Reason: Multipart, Finding: fmt.Sprintf(format, args...),
		Remedy: "Blobs over 8 MiB are written by multipart uploads. " + knownGood}
}

// multipart uploads two parts and checks what the data driver relies on: nothing is visible before
// Complete, a part is what its ETag names, the object is the parts in order, and Abort ends it.
func (p *probe) multipart(ctx context.Context) error {
	key := p.dir + "multipart"
	big, short := bytes.Repeat(nonce(1<<10), s3.MinPartSize>>10), nonce(1000)
	id, err := p.client.CreateUpload(ctx, key)
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	one, err := p.client.UploadPart(ctx, key, id, 1, [][]byte{big}, int64(len(big)))
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	two, err := p.racers[0].UploadPart(ctx, key, id, 2, [][]byte{short}, int64(len(short)))
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	if err := p.absent(ctx, p.racers[1], key, "of a multipart upload that is not complete"); err != nil {
		return err
	}
	if err := p.client.CompleteUpload(ctx, key, id, []s3.Part{one, two}); err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	if err := p.span(ctx, key, big, short); err != nil {
		return err
	}
	if err := p.replaced(ctx); err != nil {
		return err
	}
	return p.aborted(ctx)
}

// replaced completes an upload with the ETag of a part that was sent again since.
func (p *probe) replaced(ctx context.Context) error {
	key := p.dir + "replaced"
	id, err := p.client.CreateUpload(ctx, key)
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	var parts [2]s3.Part
	for i := range parts {
		if parts[i], err = p.client.UploadPart(ctx, key, id, 1, [][]byte{nonce(1000)}, 1000); err != nil {
			return p.diagnose(err, "s3:PutObject")
		}
	}
	err = p.client.CompleteUpload(ctx, key, id, parts[:1])
	if err == nil {
		return badMultipart("a multipart upload was completed with the ETag of a part that had been replaced")
	} else if s3.KindOf(err) != s3.Rejected {
		return p.diagnose(err, "s3:PutObject")
	}
	// Ceph RGW takes no second Complete for a while, but an Abort.
	if err := p.client.AbortUpload(ctx, key, id); err != nil {
		return p.diagnose(err, "s3:AbortMultipartUpload")
	}
	return nil
}

// span reads across the border of the two parts.
func (p *probe) span(ctx context.Context, key string, big, short []byte) error {
	want := append(bytes.Clone(big[len(big)-500:]), short...)
	body, err := p.racers[2].Get(ctx, key, int64(len(big)-500), int64(len(want)))
	if err != nil {
		if s3.KindOf(err) == s3.NotFound && !s3.IsContext(err) {
			return inconsistent("GET does not find a multipart upload that was completed")
		}
		return p.diagnose(err, "s3:GetObject")
	}
	defer body.Close() //nolint:errcheck // it was read to its end, or is given up
	got, err := io.ReadAll(body)
	switch {
	case err != nil:
		return p.diagnose(err, "s3:GetObject")
	case body.Size != int64(len(big)+len(short)) || !bytes.Equal(got, want):
		return badMultipart("a multipart upload of two parts reads as %d bytes with other content", body.Size)
	}
	return nil
}

func (p *probe) aborted(ctx context.Context) error {
	key := p.dir + "aborted"
	id, err := p.client.CreateUpload(ctx, key)
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	part, err := p.client.UploadPart(ctx, key, id, 1, [][]byte{nonce(1000)}, 1000)
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	if err := p.client.AbortUpload(ctx, key, id); err != nil {
		return p.diagnose(err, "s3:AbortMultipartUpload")
	}
	err = p.client.CompleteUpload(ctx, key, id, []s3.Part{part})
	if err == nil {
		return badMultipart("a multipart upload was completed after it had been aborted")
	}
	// NoSuchUpload by the book; Ceph RGW 16 says 500, "already in progress". What counts is the key.
	var e *s3.Error
	if !errors.As(err, &e) || e.Status == 0 {
		return p.diagnose(err, "s3:PutObject")
	}
	return p.absent(ctx, p.racers[3], key, "of a multipart upload that was aborted")
}
