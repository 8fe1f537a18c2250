package grant_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"holdfast/internal/grant"
)

func under(secret string) grant.MAC {
	return func(domain string, fields ...[]byte) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = fmt.Fprintf(mac, "%q %q", domain, fields) // never fails
		return mac.Sum(nil)
	}
}

func TestCheck(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	mac := under("secret")
	token := grant.Make(mac, grant.Admin, now.Add(time.Hour))
	flipped := []byte(token)
	flipped[3] ^= 1 // within the expiry
	for name, tt := range map[string]struct {
		mac     grant.MAC
		purpose string
		token   string
		at      time.Time
		ok      bool
	}{
		"fresh":           {mac, grant.Admin, token, now, true},
		"last moment":     {mac, grant.Admin, token, now.Add(time.Hour - 1), true},
		"over":            {mac, grant.Admin, token, now.Add(time.Hour), false},
		"another purpose": {mac, "pull", token, now, false},
		"another cluster": {under("other"), grant.Admin, token, now, false},
		"changed":         {mac, grant.Admin, string(flipped), now, false},
		"longer":          {mac, grant.Admin, token + "AAAA", now, false},
		"shorter":         {mac, grant.Admin, token[:len(token)-4], now, false},
		"padded":          {mac, grant.Admin, token + "==", now, false},
		"none":            {mac, grant.Admin, "", now, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := grant.Check(tt.mac, tt.purpose, tt.token, tt.at)
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, grant.ErrRefused) {
				t.Errorf("it says %v", err)
			}
		})
	}
}
