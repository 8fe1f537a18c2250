package grant_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"holdfast/internal/grant"
)

type mac func(domain string, fields ...[]byte) []byte

func under(secret string) mac {
	return func(domain string, fields ...[]byte) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = fmt.Fprintf(mac, "%q %q", domain, fields) // never fails
		return mac.Sum(nil)
	}
}

func (m mac) verify(_ context.Context, sum []byte, domain string, fields ...[]byte) (bool, error) {
	return hmac.Equal(sum, m(domain, fields...)), nil
}

func TestCheck(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ours := under("secret")
	token := grant.Make(grant.MAC(ours), grant.Admin, now.Add(time.Hour))
	flipped := []byte(token)
	flipped[3] ^= 1 // within the expiry
	for name, tt := range map[string]struct {
		mac     mac
		purpose string
		token   string
		at      time.Time
		ok      bool
	}{
		"fresh":           {ours, grant.Admin, token, now, true},
		"last moment":     {ours, grant.Admin, token, now.Add(time.Hour - 1), true},
		"over":            {ours, grant.Admin, token, now.Add(time.Hour), false},
		"another purpose": {ours, "pull", token, now, false},
		"another cluster": {under("other"), grant.Admin, token, now, false},
		"changed":         {ours, grant.Admin, string(flipped), now, false},
		"longer":          {ours, grant.Admin, token + "AAAA", now, false},
		"shorter":         {ours, grant.Admin, token[:len(token)-4], now, false},
		"padded":          {ours, grant.Admin, token + "==", now, false},
		"none":            {ours, grant.Admin, "", now, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := grant.Check(t.Context(), tt.mac.verify, tt.purpose, tt.token, tt.at)
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, grant.ErrRefused) {
				t.Errorf("it says %v", err)
			}
		})
	}
}

// TestCheckWithoutAnAnswer: a secret that cannot be read does not make a token a bad one.
func TestCheckWithoutAnAnswer(t *testing.T) {
	gone := errors.New("the store is out of reach")
	verify := func(context.Context, []byte, string, ...[]byte) (bool, error) { return false, gone }
	now := time.Unix(1_800_000_000, 0)
	token := grant.Make(grant.MAC(under("secret")), grant.Admin, now.Add(time.Hour))
	if err := grant.Check(t.Context(), verify, grant.Admin, token, now); !errors.Is(err, gone) || errors.Is(err, grant.ErrRefused) {
		t.Errorf("it says %v", err)
	}
}
