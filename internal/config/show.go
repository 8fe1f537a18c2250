package config

import (
	"strconv"
	"strings"
)

// fold is how keys are compared: zot ignores their case.
func fold(name string) string { return strings.ToLower(name) }

const shownBytes = 64

// clip cuts what a file says to 64 bytes, for a problem.
func clip(s string) string {
	if len(s) <= shownBytes {
		return s
	}
	return strings.ToValidUTF8(s[:shownBytes], "") + "…"
}

// show quotes what a file says, for a problem, without what is before an @ (a password, in a URL) or in
// the query of a URL.
func show(s string) string {
	scheme, rest, isURL := strings.Cut(s, "://")
	if !isURL {
		scheme, rest = "", s
	} else {
		scheme += "://"
		rest, _, _ = strings.Cut(rest, "?")
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = masked + rest[i:]
	}
	return strconv.Quote(clip(scheme + rest))
}

// showKey is the name of a key up to what no name has: secretkey:hunter2, without the space that YAML needs,
// is a name for the parser.
func showKey(name string) string {
	odd := strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`:="'`, r) })
	if odd >= 0 {
		name = name[:odd] + "…"
	}
	return clip(name)
}

// nearest returns the candidate that name was probably meant to be, or "". At most a third of the letters
// may differ, and an exact match but for case wins.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", max(1, len(name)/3)+1
	for _, c := range candidates {
		if d := distance(fold(name), fold(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, change or swap with their neighbour to make a of b.
func distance(a, b string) int {
	if len(a) > shownBytes || len(b) > shownBytes {
		return len(a) + len(b)
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(change, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
