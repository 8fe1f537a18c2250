package login

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// box seals what a browser keeps for us: nobody else can read it, make it, or use one for another purpose, and every replica can open it. It is a version,
// a salt, the beginning of a MAC of the salt, and the value under AES-256-GCM. Each has a key of its own, by the salt, so that the nonce can be the same.
type box struct{ secrets Secrets }

const (
	boxDomain  = "login cookie"
	boxVersion = 1
	saltBytes  = 16
	tagBytes   = 16
	maxBox     = 4000 // what a browser keeps at least, in base64
)

// aead is the cipher of one box: its key is of a key of the cluster, what it is for, and the salt.
func aead(key []byte, purpose string, salt []byte) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write(salt) // of one length; a hash takes everything
	_, _ = mac.Write([]byte(purpose))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("login: make a cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// seal returns a value as text for a cookie.
func (b box) seal(purpose string, value any) (string, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("login: seal a cookie: %w", err)
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails: crypto/rand
	gcm, err := aead(b.secrets.Keys(boxDomain + " key")[0], purpose, salt)
	if err != nil {
		return "", err
	}
	out := append([]byte{boxVersion}, salt...)
	out = append(out, b.secrets.MAC(boxDomain, salt)[:tagBytes]...)
	out = gcm.Seal(out, make([]byte, gcm.NonceSize()), plain, []byte(purpose)) //nolint:gosec // a key is used once
	text := base64.RawURLEncoding.EncodeToString(out)
	if len(text) > maxBox {
		return "", fmt.Errorf("login: a cookie of %d bytes is more than browsers keep", len(text))
	}
	return text, nil
}

// open reads what seal made into value, at any replica. It reports false for what was not made by it for this purpose, or under a secret that is not good any
// more. Errors: those of the store; then nothing is known.
func (b box) open(ctx context.Context, purpose, text string, value any) (bool, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(text) > maxBox || len(raw) < 1+saltBytes+tagBytes || raw[0] != boxVersion {
		return false, nil
	}
	salt, tag, sealed := raw[1:1+saltBytes], raw[1+saltBytes:1+saltBytes+tagBytes], raw[1+saltBytes+tagBytes:]
	try := func() (bool, error) {
		for _, key := range b.secrets.Keys(boxDomain + " key") {
			gcm, err := aead(key, purpose, salt)
			if err != nil {
				return false, err
			}
			if plain, err := gcm.Open(nil, make([]byte, gcm.NonceSize()), sealed, []byte(purpose)); err == nil {
				return json.Unmarshal(plain, value) == nil, nil
			}
		}
		return false, nil
	}
	if opened, err := try(); opened || err != nil {
		return opened, err
	}
	// Under a secret that is not known here yet? The tag tells, and has the secret read anew.
	if known, err := b.secrets.Verify(ctx, tag, boxDomain, salt); err != nil {
		return false, fmt.Errorf("login: open a cookie: %w", err)
	} else if !known {
		return false, nil
	}
	return try()
}
