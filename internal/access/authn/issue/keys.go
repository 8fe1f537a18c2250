package issue

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// pair is a key to sign with. id is of its public half.
type pair struct {
	id     string
	public ed25519.PublicKey
	signer jose.Signer
}

// keys derives pairs from the cluster's secret, each once. Safe for concurrent use.
type keys struct {
	secret Secret

	mu    sync.Mutex
	pairs map[[ed25519.SeedSize]byte]*pair
}

func newKeys(secret Secret) *keys {
	return &keys{secret: secret, pairs: map[[ed25519.SeedSize]byte]*pair{}}
}

// all returns the pairs that are good now, the one to sign with first.
func (k *keys) all() ([]*pair, error) {
	seeds := k.secret.Keys(domain)
	k.mu.Lock()
	defer k.mu.Unlock()
	good := make(map[[ed25519.SeedSize]byte]*pair, len(seeds))
	list := make([]*pair, 0, len(seeds))
	for _, seed := range seeds {
		if len(seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("issue: derive a key: %d bytes, want %d", len(seed), ed25519.SeedSize)
		}
		at := [ed25519.SeedSize]byte(seed)
		p := k.pairs[at]
		if p == nil {
			var err error
			if p, err = newPair(seed); err != nil {
				return nil, err
			}
		}
		good[at] = p
		list = append(list, p)
	}
	k.pairs = good
	return list, nil
}

// find returns the pair with an id, or nil.
func (k *keys) find(id string) (*pair, error) {
	list, err := k.all()
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		if p.id == id {
			return p, nil
		}
	}
	return nil, nil
}

func newPair(seed []byte) (*pair, error) {
	private := ed25519.NewKeyFromSeed(seed)
	public := private[ed25519.SeedSize:]
	sum := sha256.Sum256(public)
	p := &pair{id: base64.RawURLEncoding.EncodeToString(sum[:16]), public: ed25519.PublicKey(public)}
	var err error
	key := jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: p.id}}
	if p.signer, err = jose.NewSigner(key, (&jose.SignerOptions{}).WithType(tokenType)); err != nil {
		return nil, fmt.Errorf("issue: make a signer: %w", err)
	}
	return p, nil
}
