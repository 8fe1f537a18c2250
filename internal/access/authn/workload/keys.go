package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// How keys are fetched. Whoever sends tokens with ids of keys that nobody has makes us ask an issuer once in askEvery, all of them together, and waits for it.
const (
	askEvery   = 2 * time.Second
	renewAfter = time.Minute    // keys that are older are fetched anew beside what is done with them
	keepFor    = 24 * time.Hour // an issuer that cannot be asked: keys that are older are good no more
	askTime    = 10 * time.Second
	maxAnswer  = 1 << 20
	maxKeys    = 100
)

// errUnreachable is an issuer whose keys cannot be fetched: then nothing is known of a token.
var errUnreachable = errors.New("workload: the issuer of identity tokens cannot be asked for its keys")

// keySet is the keys of an issuer. Safe for concurrent use.
type keySet struct {
	issuer string
	client *http.Client

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // when the fetch of keys began, by this process's monotonic clock
	asked   time.Time // when the last began, whatever came of it
	err     error     // what came of it
	asking  chan struct{}
}

// algs are those that a token may be signed by: never one with a shared secret.
func algs() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}
}

// errSignature is a token that no key of the issuer has signed.
var errSignature = errors.New("workload: no key of the issuer has signed it")

// verify returns what a token says that the issuer signed. Errors: errSignature; errUnreachable when a key that is not known could be the issuer's.
func (s *keySet) verify(ctx context.Context, token *jose.JSONWebSignature) ([]byte, error) {
	keys, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	if payload, ok := verifyBy(keys, token); ok {
		return payload, nil
	}
	if id := token.Signatures[0].Protected.KeyID; id != "" && slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool { return k.KeyID == id }) {
		return nil, errSignature // the issuer's key of that id has not signed it
	}
	if keys, err = s.newer(ctx); err != nil {
		return nil, err
	}
	if payload, ok := verifyBy(keys, token); ok {
		return payload, nil
	}
	return nil, errSignature
}

func verifyBy(keys []jose.JSONWebKey, token *jose.JSONWebSignature) ([]byte, bool) {
	head := token.Signatures[0].Protected
	for _, k := range keys {
		if head.KeyID != "" && k.KeyID != "" && k.KeyID != head.KeyID || k.Algorithm != "" && k.Algorithm != head.Algorithm {
			continue
		}
		if payload, err := token.Verify(k.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// current returns keys that are not too old, and has them fetched when they are not new.
func (s *keySet) current(ctx context.Context) ([]jose.JSONWebKey, error) {
	s.mu.Lock()
	keys, age := s.keys, time.Since(s.fetched)
	if keys != nil && age > renewAfter && time.Since(s.asked) > askEvery {
		s.ask(ctx)
	}
	s.mu.Unlock()
	if keys != nil && age < keepFor {
		return keys, nil
	}
	return s.newer(ctx)
}

// newer returns keys whose fetch began after the call. It waits until askEvery has passed since the last, unless that failed.
func (s *keySet) newer(ctx context.Context) ([]jose.JSONWebKey, error) {
	for called := time.Now(); ; {
		s.mu.Lock()
		keys, err, asked, asking := s.keys, s.err, s.asked, s.asking
		wait := askEvery - time.Since(asked)
		switch {
		case asking != nil:
		case !asked.IsZero() && (!asked.Before(called) || err != nil && wait > 0):
			s.mu.Unlock()
			return keys, err
		case asked.IsZero() || wait <= 0:
			s.ask(ctx)
			asking = s.asking
		}
		s.mu.Unlock()
		timer := time.NewTimer(max(wait, time.Millisecond))
		done := timer.C
		if asking != nil {
			done = nil
		}
		select {
		case <-asking:
		case <-done:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		timer.Stop()
	}
}

// ask begins a fetch, unless one goes on. The caller holds the lock. It does not end with the request that began it.
func (s *keySet) ask(ctx context.Context) {
	if s.asking != nil {
		return
	}
	done := make(chan struct{})
	s.asking, s.asked = done, time.Now()
	go func() {
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
		defer cancel()
		keys, err := s.fetch(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err = err; err == nil {
			s.keys, s.fetched = keys, began
		}
		s.asking = nil
		close(done)
	}()
}

// fetch asks the issuer where its keys are, and for them.
func (s *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	fail := func(err error) ([]jose.JSONWebKey, error) {
		return nil, fmt.Errorf("%w: %s: %w", errUnreachable, s.issuer, err)
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), s.issuer)
	if err != nil {
		return fail(err)
	}
	var at struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := provider.Claims(&at); err != nil {
		return fail(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.JWKS, nil)
	if err != nil {
		return fail(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fail(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fail(err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil || resp.StatusCode != http.StatusOK {
		return fail(fmt.Errorf("%s answers %d, and not with keys", at.JWKS, resp.StatusCode))
	}
	keys := []jose.JSONWebKey{}
	for _, text := range set.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(text, &k) == nil && k.IsPublic() && k.Use != "enc" && len(keys) < maxKeys { // an issuer may have keys of kinds that we do not know
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// bounded is a transport whose answers are cut.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}
