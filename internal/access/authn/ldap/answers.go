package ldap

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"holdfast/internal/access"
)

// maxAnswers bounds the answers that are kept.
const maxAnswers = 4096

// answers are good answers of the last seconds, so that a client's next requests do not ask the directory. Passwords are not kept, nor what could be
// tried against a list of them: the keys are under a random key of the process. Safe for concurrent use.
type answers struct {
	secret [32]byte
	life   time.Duration
	now    func() time.Time
	kept   *lru.Cache[answerKey, answer]
}

type answerKey [sha256.Size]byte

// String is the beginning of a key, which tells nothing.
func (k answerKey) String() string { return hex.EncodeToString(k[:8]) }

type answer struct {
	id    access.Identity
	asked time.Time
}

func newAnswers(life time.Duration, now func() time.Time) answers {
	a := answers{life: life, now: now}
	_, _ = rand.Read(a.secret[:]) // never fails: crypto/rand
	a.kept, _ = lru.New[answerKey, answer](maxAnswers)
	return a
}

func (a *answers) key(name, password string) answerKey {
	mac := hmac.New(sha256.New, a.secret[:])
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(name)))
	_, _ = mac.Write(n[:]) // a hash takes everything
	_, _ = mac.Write([]byte(name))
	_, _ = mac.Write([]byte(password))
	return answerKey(mac.Sum(nil))
}

func (a *answers) get(key answerKey) (access.Identity, bool) {
	found, ok := a.kept.Get(key)
	if !ok {
		return access.Identity{}, false
	}
	if a.now().Sub(found.asked) >= a.life {
		a.kept.Remove(key)
		return access.Identity{}, false
	}
	return found.id, true
}

// put keeps an answer that was asked for at a time: what it says may be as old as that.
func (a *answers) put(key answerKey, id access.Identity, asked time.Time) {
	a.kept.Add(key, answer{id: id, asked: asked})
}
