package probe

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"holdfast/internal/s3"
)

const (
	meetKeys = 16
	meetWait = 3 * time.Second
	meetings = scratch + "meet/"
)

// Meet races this replica against those that call it in the same minute of the store's clock, each
// through its own address of the store: all create the same sixteen keys, and who was told that it
// had won must find its own value there, three seconds later as well. It finds stores whose nodes
// each decide for themselves. It is for a background task of replicas that see each other alive;
// alone it passes. Errors: as Run.
func Meet(ctx context.Context, client *s3.Client) error {
	p := &probe{client: client, dir: fmt.Sprintf("%s%d/", meetings, client.Now().Unix()/60)}
	p.forgetMeetings(ctx)
	var (
		values [meetKeys][]byte
		errs   [meetKeys]error
		done   sync.WaitGroup
	)
	for i := range values {
		values[i] = nonce(valueSize)
		done.Go(func() {
			_, errs[i] = client.PutValue(ctx, p.meetKey(i), values[i], s3.Condition{Absent: true})
		})
	}
	done.Wait()
	for _, wait := range []time.Duration{0, meetWait} {
		if err := pause(ctx, wait); err != nil {
			return err
		}
		for i, err := range errs {
			switch {
			case lost(err):
				continue
			case err != nil:
				return p.diagnose(err, "s3:PutObject")
			}
			got, _, err := client.GetValue(ctx, p.meetKey(i), maxValue)
			if err != nil {
				return p.diagnose(err, "s3:GetObject")
			}
			if !bytes.Equal(got, values[i]) {
				return unconditional("two replicas were told that they had created the same key: the store's nodes each decide for themselves")
			}
		}
	}
	return nil
}

// forgetMeetings removes what earlier meetings left. What cannot be removed now is removed at the next.
func (p *probe) forgetMeetings(ctx context.Context) {
	limit := p.client.Now().Add(-staleAge)
	for item, err := range p.client.List(ctx, meetings, "") {
		if err != nil {
			return
		}
		if item.Modified.Before(limit) {
			_ = p.client.Delete(ctx, item.Key, "")
		}
	}
}

func (p *probe) meetKey(i int) string { return fmt.Sprintf("%s%d", p.dir, i) }
