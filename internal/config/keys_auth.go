package config

import "time"

// maxFailDelay is the longest a refused login may wait: each holds a connection so long.
const maxFailDelay = 10 * time.Second

// parseFailDelay takes whole seconds, as in zot, or a duration.
func parseFailDelay(n *node) (any, *Problem) {
	var d time.Duration
	if v, problem := parseInt(n); problem == nil {
		d = time.Duration(min(max(v.(int64), -1), int64(time.Hour/time.Second))) * time.Second
	} else if v, problem := parseDuration(n); problem == nil {
		d = v.(time.Duration)
	} else {
		return nil, mistyped(n, "a number of seconds")
	}
	if d < 0 || d > maxFailDelay {
		return nil, wrong(n, "is out of range", "0 to 10 seconds")
	}
	return d, nil
}
