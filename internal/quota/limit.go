package quota

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// Limit is what the repositories below a prefix may hold together.
type Limit struct {
	// Prefix is the name of a repository, which counts too, or of a path of repositories; without slashes at its ends. "" is all of the store.
	Prefix string
	// Bytes and Repositories are at most so many; 0: no limit.
	Bytes        int64
	Repositories int64
}

// covers reports whether a repository is one that the limit is for.
func (l *Limit) covers(repo oci.Repository) bool { return covers(l.Prefix, repo) }

func covers(prefix string, repo oci.Repository) bool {
	rest, below := strings.CutPrefix(string(repo), prefix)
	return prefix == "" || below && (rest == "" || rest[0] == '/')
}

// arranged returns limits in the order of their prefixes, each prefix once: with the lower of two limits.
func arranged(limits []Limit) []Limit {
	lower := func(a, b int64) int64 {
		if a == 0 || b == 0 {
			return max(a, b)
		}
		return min(a, b)
	}
	var out []Limit
	for _, l := range slices.SortedStableFunc(slices.Values(limits), func(a, b Limit) int { return cmp.Compare(a.Prefix, b.Prefix) }) {
		if last := len(out) - 1; last >= 0 && out[last].Prefix == l.Prefix {
			out[last].Bytes, out[last].Repositories = lower(out[last].Bytes, l.Bytes), lower(out[last].Repositories, l.Repositories)
			continue
		}
		out = append(out, l)
	}
	return out
}

// shown names the limit for people.
func (l *Limit) shown() string {
	if l.Prefix == "" {
		return "this store"
	}
	return l.Prefix
}

// refusal is the answer to a push that has no room. used is without it, more what it needs.
func (l *Limit) refusal(used, more format.Load) error {
	if l.Repositories > 0 && used.Repositories+more.Repositories > l.Repositories && more.Repositories > 0 {
		return &oci.Error{ // as zot answers
			Code:    oci.TooManyRequests,
			Message: fmt.Sprintf("%s has %d repositories of the %d that it may have: no new one can be made", l.shown(), used.Repositories, l.Repositories),
			Detail:  map[string]string{"limit": fmt.Sprint(l.Repositories)},
		}
	}
	text := fmt.Sprintf("the quota of %s is used up: %s of %s", l.shown(), Size(used.Bytes), Size(l.Bytes))
	if used.Bytes < l.Bytes {
		text = fmt.Sprintf("the quota of %s has no room for %s: %s of %s are used", l.shown(), Size(more.Bytes), Size(used.Bytes), Size(l.Bytes))
	}
	return &oci.Error{Code: oci.Denied, Message: text, Detail: Usage{Prefix: l.Prefix, Used: used.Bytes, Limit: l.Bytes}}
}

// Usage is the detail of a refusal for want of room: bytes.
type Usage struct {
	Prefix string `json:"prefix"`
	Used   int64  `json:"used"`
	Limit  int64  `json:"limit"`
}

// Size shows a number of bytes for people, in the units of the configuration.
func Size(n int64) string {
	const units = "KMGTPE"
	value, unit := float64(n), -1
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	if unit < 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + units[unit:unit+1] + "iB"
}
