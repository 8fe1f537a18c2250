package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"holdfast/internal/s3"
)

const (
	scratch   = "cfg/probe/"
	staleAge  = time.Hour // scratch keys of a self-test that died
	racers    = 16
	rounds    = 5
	valueSize = 1 << 10
	maxValue  = 64 << 10

	warnSkew   = time.Minute
	refuseSkew = 10 * time.Minute // S3 itself refuses at 15
	nodeSkew   = time.Minute
)

// Options of a self-test; the zero value is right for a server.
type Options struct {
	// Version of the program, for Result.Version.
	Version string
}

// probe is a self-test under way.
type probe struct {
	client  *s3.Client
	racers  []*s3.Client
	dir     string // scratch keys lie below it; ends with '/'
	form    s3.ETagForm
	result  Result
	deleted bool // a delete was allowed
}

// Run makes the full self-test: some 500 small requests and two parts, a few seconds. It writes below
// <root>/holdfast/cfg/probe/ only, and removes what it wrote.
// Errors: *Refused; one that wraps record.ErrUnavailable when the store does not answer.
func Run(ctx context.Context, client *s3.Client, options Options) (Result, error) {
	p := newProbe(client, racers)
	defer p.close()
	p.result.Version = options.Version
	err := p.run(ctx)
	p.clean(ctx)
	if err != nil {
		return Result{}, err
	}
	p.result.Traits.ETagForm = p.form
	p.result.Time = client.Now()
	p.result.ClockSkew, _ = client.ClockOffset()
	p.result.Server = client.Server()
	p.result.CanDelete = p.deleted
	if p.result.Tier = TierB; p.result.Traits.ConditionalDelete {
		p.result.Tier = TierA
	}
	return p.result, nil
}

// newProbe returns a probe with n racers.
func newProbe(client *s3.Client, n int) *probe {
	p := &probe{client: client, dir: scratch + random() + "/", form: s3.Quoted}
	for i := range n {
		p.racers = append(p.racers, client.Racer(i))
	}
	p.result = Result{Endpoint: client.Endpoint(), Bucket: client.Bucket(), Region: client.Region()}
	return p
}

func (p *probe) close() {
	for _, r := range p.racers {
		r.Close()
	}
}

func (p *probe) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		p.reach, p.permissions, p.clocks, p.settings,
		p.create, p.swap, p.keys,
		p.fresh, // before the races, which would take a stale read for a lost write
		p.raceCreate, p.raceSwap,
		p.deletes,
		p.multipart,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// reach makes the first request: it tells a wrong address, bucket, region, key and clock.
func (p *probe) reach(ctx context.Context) error {
	for _, err := range p.client.List(ctx, scratch, "") {
		if err != nil {
			return p.diagnose(err, "s3:ListBucket")
		}
		break
	}
	return nil
}

// permissions asks for each of the permissions that a registry needs, and says which is missing.
func (p *probe) permissions(ctx context.Context) error {
	key := p.dir + "permissions"
	if _, err := p.client.PutValue(ctx, key, nonce(valueSize), s3.Condition{}); err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	if err := p.whole(ctx, key); err != nil {
		return err
	}
	id, err := p.client.CreateUpload(ctx, key+"-upload")
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	if err := p.client.AbortUpload(ctx, key+"-upload", id); err != nil {
		return p.diagnose(err, "s3:AbortMultipartUpload")
	}
	for _, err := range p.client.ListUploads(ctx, p.dir) {
		switch {
		case err == nil:
		case s3.KindOf(err) == s3.Denied || s3.KindOf(err) == s3.Rejected:
			p.result.warn("the store does not list multipart uploads (s3:ListBucketMultipartUploads): add a lifecycle rule that aborts them after two days")
		default:
			return p.diagnose(err, "s3:ListBucketMultipartUploads")
		}
		break
	}
	err = p.client.Delete(ctx, key, "")
	switch {
	case err == nil:
		p.deleted = true
	case s3.KindOf(err) == s3.Denied && !s3.IsContext(err):
		p.result.warn("the credentials may not delete (s3:DeleteObject): nothing is collected, and the self-test leaves its scratch keys")
	default:
		return p.diagnose(err, "s3:DeleteObject")
	}
	return nil
}

const (
	wholeTries = 4
	wholePause = 250 * time.Millisecond
)

// whole reads a value until it comes whole. A read that breaks off says nothing of the store: it is the network's as well, and an outage then.
func (p *probe) whole(ctx context.Context, key string) error {
	for try := 1; ; try++ {
		_, _, err := p.client.GetValue(ctx, key, maxValue)
		if !s3.IsShort(err) {
			return p.diagnose(err, "s3:GetObject")
		}
		if try == wholeTries {
			return &Refused{Reason: Reads, Err: err,
				Finding: "each read ended before the length that the answer had announced",
				Remedy:  "Look at what lies between the store and this machine; else update the store, or use another. " + knownGood}
		}
		if err := pause(ctx, wholePause<<try); err != nil {
			return err
		}
	}
}

// pause waits, and returns the context's error when that ends before.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// clocks compares the store's clocks with each other and with the local one.
func (p *probe) clocks(ctx context.Context) error {
	key := p.dir + "clock"
	put, err := p.client.PutValue(ctx, key, nonce(valueSize), s3.Condition{})
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	got, err := p.client.Head(ctx, key)
	if err != nil {
		return p.diagnose(err, "s3:GetObject")
	}
	if off := put.Modified.Sub(got.Modified).Abs(); off > nodeSkew {
		return &Refused{Reason: Clock,
			Finding: fmt.Sprintf("a fresh object is dated %s from the Date of the store's answer: the clocks of its nodes differ", off.Round(time.Second)),
			Remedy:  "Synchronise the store's nodes (NTP): ages decide what the collector looks at"}
	}
	offset, _ := p.client.ClockOffset()
	switch {
	case offset.Abs() > refuseSkew:
		return &Refused{Reason: Clock,
			Finding: fmt.Sprintf("the local clock is too far from that of %s (%s)", p.address(), p.skew()),
			Remedy:  "Synchronise this machine's clock (NTP): S3 refuses every request at 15 minutes"}
	case offset.Abs() > warnSkew:
		p.result.warn("the local clock is wrong (%s): S3 refuses every request at 15 minutes", p.skew())
	}
	return nil
}

// settings refuses buckets that would lose data by themselves, or cannot give it up.
func (p *probe) settings(ctx context.Context) error {
	s, unknown, err := p.client.Settings(ctx)
	if err != nil {
		return p.diagnose(err, "s3:GetBucketVersioning")
	}
	if len(unknown) > 0 {
		p.result.note("the store does not tell its %s", strings.Join(unknown, ", "))
	}
	switch {
	case s.Locked:
		return &Refused{Reason: Setting,
			Finding: fmt.Sprintf("bucket %s has an object lock with a default retention: nothing could be deleted, and overwritten records would pile up", p.client.Bucket()),
			Remedy:  "Remove the default retention, or use another bucket"}
	case s.Expiring != "":
		return &Refused{Reason: Setting,
			Finding: fmt.Sprintf("lifecycle rule %q of bucket %s expires or archives objects below our prefix: images would vanish", s.Expiring, p.client.Bucket()),
			Remedy:  "Remove the rule, or limit it to another prefix. Retention belongs into Holdfast's configuration"}
	case s.Versioned:
		p.result.warn("bucket %s is versioned: the collector frees nothing, and every record keeps its old versions. Suspend versioning, or add a rule that removes noncurrent versions", p.client.Bucket())
	}
	if s.AbortDays == 1 {
		p.result.warn("a lifecycle rule aborts multipart uploads after a day: uploads that take longer fail")
	}
	return nil
}

// clean removes the scratch keys of this self-test and of those that died, as far as it may.
func (p *probe) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if !p.deleted {
		return
	}
	limit := p.client.Now().Add(-staleAge)
	keys := make(chan string)
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			for key := range keys {
				_ = p.racers[i].Delete(ctx, key, "") // the next self-test tries again
			}
		})
	}
	for item, err := range p.client.List(ctx, scratch, "") {
		if err != nil {
			break
		}
		if strings.HasPrefix(item.Key, p.dir) || item.Modified.Before(limit) {
			keys <- item.Key
		}
	}
	close(keys)
	workers.Wait()
}

func random() string { return hex.EncodeToString(nonce(8)) }

func nonce(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// value reads a key and checks that it holds one of the values that were written, whole.
func (p *probe) value(ctx context.Context, from *s3.Client, key string, written ...[]byte) (int, error) {
	got, _, err := from.GetValue(ctx, key, maxValue)
	if err != nil {
		return -1, err
	}
	for i, w := range written {
		if bytes.Equal(got, w) {
			return i, nil
		}
	}
	return -1, inconsistent("a read of %d bytes is none of the values that were written: reads are torn", len(got))
}
