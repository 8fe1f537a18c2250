package format

import (
	"context"
	"strings"

	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// Scales are told of every write that changes what a repository holds: see package quota. Safe for concurrent use.
type Scales interface {
	// Begin is called before a write that would change what a repository holds by change, whose fields may be negative. An error keeps the write from being
	// sent, as if the process had ended before it. Else done is called once, with what became of the write.
	Begin(ctx context.Context, repo oci.Repository, change Load) (done func(Outcome), err error)
}

// Load is what a repository holds, or a change of that. Bytes are those of the blobs that it has a link for and of its manifests, each once, whether
// or not another repository has them too; Repositories is 1 for one of the catalog.
type Load struct {
	Bytes        int64 `json:"bytes,omitempty"`
	Repositories int64 `json:"repositories,omitempty"`
}

// Outcome is what became of a write.
type Outcome uint8

// The outcomes.
const (
	Landed  Outcome = iota // it is there
	Lost                   // it never was, and will not be
	Unknown                // it may be there, or come yet
)

// LoadOf is what a value adds to the repository that its key is of. Keys that add nothing, and values that are pending, dead or void, are no load.
func LoadOf[H any, P HeadOf[H]](key record.Key, v Stored[H]) (oci.Repository, Load) {
	parts := strings.Split(string(key), "/")
	switch h := any(P(&v.Head)).(type) {
	case *Link:
		if len(parts) == 4 && parts[0] == "l" && v.Is(Live, Condemned, Corrupt) {
			return UnescapeRepository(parts[3]), Load{Bytes: h.Size}
		}
	case *Manifest:
		if len(parts) == 5 && parts[0] == "r" && v.Is(Live, Condemned) {
			return UnescapeRepository(parts[2]), Load{Bytes: int64(len(v.Body))}
		}
	case *Marker:
		if len(parts) == 2 && parts[0] == "n" && v.Is(Live, Condemned) {
			return UnescapeRepository(parts[1]), Load{Repositories: 1}
		}
	}
	return "", Load{}
}

// Room asks the scales, if there are any, whether a value could come to a key that has none, and writes nothing. Errors: those of s.Scales.
func Room[H any, P HeadOf[H]](ctx context.Context, s Store, key record.Key, next Stored[H]) error {
	done, err := weigh[H, P](ctx, s, key, Stored[H]{}, next)
	if err != nil {
		return err
	}
	done(Lost)
	return nil
}

// weigh asks the scales, if there are any, about a write that replaces old by next. done is never nil without an error.
func weigh[H any, P HeadOf[H]](ctx context.Context, s Store, key record.Key, old, next Stored[H]) (done func(Outcome), err error) {
	nobody := func(Outcome) {}
	if s.Scales == nil {
		return nobody, nil
	}
	repo, before := LoadOf[H, P](key, old)
	to, after := LoadOf[H, P](key, next)
	if repo == "" {
		repo = to
	}
	change := Load{Bytes: after.Bytes - before.Bytes, Repositories: after.Repositories - before.Repositories}
	if change == (Load{}) {
		return nobody, nil
	}
	return s.Scales.Begin(ctx, repo, change)
}
