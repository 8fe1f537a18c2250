package authn

import (
	"context"
	"slices"

	"holdfast/internal/access"
)

// FileStanding is the Standing of a file of users, see package htpasswd. Fingerprint is "" for a name that is not in it.
type FileStanding struct {
	File interface{ Fingerprint(name string) string }
}

// Fingerprint implements Standing.
func (s FileStanding) Fingerprint(_ context.Context, name string) (string, error) {
	return s.File.Fingerprint(name), nil
}

// Stands implements Standing.
func (s FileStanding) Stands(_ context.Context, id access.Identity, fingerprint string) (access.Identity, error) {
	if id.Way != access.Htpasswd {
		return id, nil
	}
	if now := s.File.Fingerprint(id.Name); now == "" || fingerprint != "" && fingerprint != now {
		return access.Identity{}, ErrWrong
	}
	return id, nil
}

// Configured is the Standing of the ways that the configuration has: whom another one found, before it was taken out, stands no more.
type Configured []access.Way

// Fingerprint implements Standing.
func (Configured) Fingerprint(context.Context, string) (string, error) { return "", nil }

// Stands implements Standing.
func (c Configured) Stands(_ context.Context, id access.Identity, _ string) (access.Identity, error) {
	if !slices.Contains(c, id.Way) {
		return access.Identity{}, ErrWrong
	}
	return id, nil
}

// Standings are several: each is asked, as each knows nothing of the others' users.
type Standings []Standing

// Fingerprint implements Standing. Of a name that several know it is the first's, which is asked first for its password too.
func (s Standings) Fingerprint(ctx context.Context, name string) (string, error) {
	for _, one := range s {
		if print, err := one.Fingerprint(ctx, name); err != nil || print != "" {
			return print, err
		}
	}
	return "", nil
}

// Stands implements Standing.
func (s Standings) Stands(ctx context.Context, id access.Identity, fingerprint string) (access.Identity, error) {
	for _, one := range s {
		var err error
		if id, err = one.Stands(ctx, id, fingerprint); err != nil {
			return access.Identity{}, err
		}
	}
	return id, nil
}
