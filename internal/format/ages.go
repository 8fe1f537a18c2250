package format

import (
	"errors"
	"fmt"
	"time"
)

// Ages are the protocol's spans of time, all by the store's clock. Their order matters: Check says how.
// Zero fields mean the documented defaults. Tests divide all of them by one factor.
type Ages struct {
	Request          time.Duration // a request makes no conditional write later than this after its first; 1 h
	TagAfterManifest time.Duration // a tag is set at most this long after its manifest was written; 30 min
	YoungManifest    time.Duration // the collector never condemns a younger manifest; 1 h
	TouchManifest    time.Duration // a push renews a manifest that is older; 10 min
	SessionDone      time.Duration // the segments of a finished upload are looked at after this; 2 h
	Session          time.Duration // an upload's token expires, and an untouched session ends; 24 h
	Tombstone        time.Duration // a tombstone lives at least this long; 24 h
	Orphan           time.Duration // segments that nothing names are garbage after this; 7 d
	Grace            time.Duration // what has just become unreferenced is kept this long; 24 h
}

// DefaultAges are the protocol's.
func DefaultAges() Ages {
	return Ages{
		Request:          time.Hour,
		TagAfterManifest: 30 * time.Minute,
		YoungManifest:    time.Hour,
		TouchManifest:    10 * time.Minute,
		SessionDone:      2 * time.Hour,
		Session:          24 * time.Hour,
		Tombstone:        24 * time.Hour,
		Orphan:           7 * 24 * time.Hour,
		Grace:            24 * time.Hour,
	}
}

// Divided returns all ages divided by one factor, which keeps their order.
func (a Ages) Divided(by int64) Ages {
	d := time.Duration(by)
	return Ages{
		Request:          a.Request / d,
		TagAfterManifest: a.TagAfterManifest / d,
		YoungManifest:    a.YoungManifest / d,
		TouchManifest:    a.TouchManifest / d,
		SessionDone:      a.SessionDone / d,
		Session:          a.Session / d,
		Tombstone:        a.Tombstone / d,
		Orphan:           a.Orphan / d,
		Grace:            a.Grace / d,
	}
}

// shortestAge is the shortest span that store times, which have a resolution of a second, can measure.
const shortestAge = 5 * time.Second

// Check reports every violation of the order that the protocol's proofs rest on.
func (a Ages) Check() error {
	var errs []error
	for _, r := range []struct {
		why          string
		less, more   time.Duration
		lname, mname string
	}{
		{"a push that fails late must not leave a tag at a manifest that could be condemned", a.TagAfterManifest, a.YoungManifest, "TagAfterManifest", "YoungManifest"},
		{"a manifest is renewed well before it may be condemned", a.TouchManifest, a.TagAfterManifest, "TouchManifest", "TagAfterManifest"},
		{"a finished upload's other commits have ended", a.Request, a.SessionDone, "Request", "SessionDone"},
		{"a late create lands while its tombstone is there", a.Request, a.Tombstone, "Request", "Tombstone"},
		{"a session outlives its requests", a.SessionDone, a.Session, "SessionDone", "Session"},
		{"segments of a living session are no orphans", a.Session, a.Orphan, "Session", "Orphan"},
		{"the grace outlives a push", 2 * a.TagAfterManifest, a.Grace + 1, "twice TagAfterManifest", "Grace"},
	} {
		if r.less >= r.more {
			errs = append(errs, fmt.Errorf("format: ages: %s (%s) must be shorter than %s (%s): %s", r.lname, r.less, r.mname, r.more, r.why))
		}
	}
	if a.TouchManifest < shortestAge {
		errs = append(errs, fmt.Errorf("format: ages: the shortest, TouchManifest, is %s: store times have a resolution of a second, at least %s is needed", a.TouchManifest, shortestAge))
	}
	return errors.Join(errs...)
}
