package move

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"holdfast/internal/format"
	"holdfast/internal/record"
)

// noteAccess is of a snapshot's index: what access control kept when it was made, as JSON. Keys are hashed; names of users are not.
const noteAccess = "holdfast.access"

// kept is what access control keeps in a store: API keys that were not deleted, and revocations.
type kept struct {
	APIKeys     []keptKey           `json:"apiKeys,omitempty"`
	Revocations []format.Revocation `json:"revocations,omitempty"`
}

type keptKey struct {
	ID  string        `json:"id"`
	Key format.APIKey `json:"key"`
}

// readAccess reads what a store keeps. Keys come first: what refuses one that was read is there by then, or came after the backup had begun.
func readAccess(ctx context.Context, s format.Store) (kept, error) {
	var out kept
	err := eachRecord(ctx, s, format.PrefixAPIKeys, func(id string, k format.Stored[format.APIKey]) {
		if k.Is(format.Live) {
			k.Head.Meta = format.Meta{}
			out.APIKeys = append(out.APIKeys, keptKey{id, k.Head})
		}
	})
	if err != nil {
		return out, err
	}
	return out, eachRecord(ctx, s, format.PrefixRevocations, func(_ string, r format.Stored[format.Revocation]) {
		if r.Is(format.Live) {
			out.Revocations = append(out.Revocations, format.Revocation{User: r.Head.User, NotBefore: r.Head.NotBefore, By: r.Head.By})
		}
	})
}

// eachRecord reads all values below a prefix, in the order of their keys. name is the last part of a key, after its partition.
func eachRecord[H any, P format.HeadOf[H]](ctx context.Context, s format.Store, prefix record.Key, do func(name string, v format.Stored[H])) error {
	for entry, err := range s.Records.List(ctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("move: list %s: %w", prefix, err)
		}
		if entry.Size <= format.DeadSize {
			continue
		}
		v, err := format.Read[H, P](ctx, s, entry.Key)
		if err != nil {
			return err
		}
		if rest := string(entry.Key[len(prefix):]); len(rest) > 3 {
			do(rest[3:], v)
		}
	}
	return nil
}

// annotations are those of a snapshot's index; nil where nothing is kept.
func (k kept) annotations() (map[string]string, error) {
	if len(k.APIKeys) == 0 && len(k.Revocations) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("move: write what access control keeps: %w", err)
	}
	return map[string]string{noteAccess: string(text)}, nil
}

// access is what a snapshot has of access control.
func (l *Layout) access(s Snapshot) (kept, error) {
	var out kept
	index, err := l.readIndexBlob(s.desc)
	if err != nil {
		return out, err
	}
	if text := index.Annotations[noteAccess]; text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			return out, fmt.Errorf("move: read what the snapshot %s has of access control: %w", s.Name, err)
		}
	}
	return out, nil
}

// write puts into a store what is not there: revocations first, as a key that one refuses must not be good meanwhile. A key that was made or deleted there stays
// what it is, and of two revocations the later one.
func (k kept) write(ctx context.Context, s format.Store) error {
	for _, r := range k.Revocations {
		if err := writeRevocation(ctx, s, r); err != nil {
			return err
		}
	}
	for _, one := range k.APIKeys {
		if id, err := hex.DecodeString(one.ID); err != nil || len(id) != 16 || strings.ToLower(one.ID) != one.ID || one.Key.User == "" {
			return fmt.Errorf("move: restore an API key: %q is none: %w", one.ID, fs.ErrInvalid)
		}
		one.Key.State = format.Live
		var marker format.Marker
		marker.State = format.Live
		if err := writeAbsent(ctx, s, format.APIKeyKey(one.ID), one.Key, func() error {
			return writeAbsent(ctx, s, format.APIKeyOfKey(one.Key.User, one.ID), marker, func() error { return nil })
		}); err != nil {
			return err
		}
	}
	return nil
}

// writeAbsent writes a value where there is none, after before. Another's write is as good.
func writeAbsent[H any, P format.HeadOf[H]](ctx context.Context, s format.Store, key record.Key, head H, before func() error) error {
	old, err := format.Read[H, P](ctx, s, key)
	if err != nil || old.State != format.Absent {
		return err
	}
	if err := before(); err != nil {
		return err
	}
	if _, err = format.Write[H, P](ctx, s, key, old, head, nil, true); format.IsConflict(err) {
		return nil
	}
	return err
}

// errBusy is a record that others write all the time.
var errBusy = errors.New("move: others change a revocation all the time")

func writeRevocation(ctx context.Context, s format.Store, r format.Revocation) error {
	r.State = format.Live
	key := format.RevocationKey(r.User)
	old, err := format.Read[format.Revocation](ctx, s, key)
	for range rounds {
		if err != nil && !format.IsConflict(err) {
			return err
		}
		if old.Is(format.Live) && !old.Head.NotBefore.Before(r.NotBefore) {
			return nil
		}
		if old, err = format.Write(ctx, s, key, old, r, nil, !old.Is(format.Live)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: %w", errBusy, err)
}
