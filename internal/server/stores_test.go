package server

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"holdfast/internal/s3/probe"
)

// TestNextMeeting: replicas that are not at the same second, and start at different times, agree.
func TestNextMeeting(t *testing.T) {
	at := func(text string) time.Time {
		t.Helper()
		when, err := time.Parse(time.TimeOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct {
		now, want string
		every     time.Duration
	}{
		{"10:00:00", "10:01:05", time.Minute},
		{"10:00:59", "10:01:05", time.Minute},
		{"10:01:05", "11:00:05", time.Hour},
		{"10:59:58", "11:00:05", time.Hour},
		{"11:00:08", "12:00:05", time.Hour},
	} {
		if got := nextMeeting(at(c.now), c.every); !got.Equal(at(c.want)) {
			t.Errorf("at %s: %s, want %s", c.now, got.Format(time.TimeOnly), c.want)
		}
	}
}

// TestBrokenOr: a replica that serves stops for a store that loses data, and for nothing that may pass.
func TestBrokenOr(t *testing.T) {
	for reason, want := range map[probe.Reason]bool{
		probe.Conditions: true, probe.Consistency: true, probe.Multipart: true, probe.Setting: true,
		probe.Bucket: false, probe.Credentials: false, probe.Permission: false, probe.Region: false,
		probe.Clock: false, probe.TLS: false, probe.Request: false, probe.Reads: false,
	} {
		err := brokenOr(fmt.Errorf("self-test: %w", &probe.Refused{Reason: reason}))
		if got := errors.Is(err, ErrRefused); got != want {
			t.Errorf("%s: refused %t, want %t", reason, got, want)
		}
	}
	if err := brokenOr(errors.New("no answer")); errors.Is(err, ErrRefused) {
		t.Errorf("no answer: %v", err)
	}
}
