package spec

import (
	"strings"
	"testing"
)

// A Target is a running registry.
type Target struct {
	Name   string
	URL    string   // "http://127.0.0.1:8080"
	Kind   Kind     // Everywhere: the ordinary one; Limited
	Proxy  bool     // a proxy stands between
	Secret []string // words that no answer may contain: bucket, endpoint, folder

	LongestName int // bytes of a repository name that the store holds; 0: the spec's 255
}

// longestName is the longest name that the target takes.
func (t Target) longestName() int {
	if t.LongestName == 0 {
		return specName
	}
	return t.LongestName
}

const specName = 255

// Rows returns every row of the tables.
func Rows() []Row {
	return all(
		pullRows(), rangeRows(), pushRows(), chunkRows(), sessionRows(), mountRows(),
		manifestRows(), multiTagRows(), subjectRows(), badManifestRows(), badDescriptorRows(), nestedRows(),
		referrersRows(), tagsRows(), badListRows(), catalogRows(), deleteRows(), noDeleteRows(), maxBlobRows(),
		nameRows(), referenceRows(), routeRows(), smugglingRows(), limitRows(), browserRows(),
	)
}

// Run plays every row that the target is for.
func Run(t *testing.T, target Target) {
	t.Helper()
	for _, row := range Rows() {
		if !row.suits(target) {
			continue
		}
		t.Run(title(row), func(t *testing.T) {
			t.Parallel()
			newEnv(t, target).play(row)
		})
	}
}

func (r Row) suits(t Target) bool {
	switch r.At {
	case Limited:
		return t.Kind == Limited
	case ShortNames:
		return t.longestName() < specName
	case Direct:
		return t.Kind == Everywhere && !t.Proxy
	default:
		return t.Kind == Everywhere
	}
}

func title(r Row) string { return strings.ReplaceAll(r.Section+": "+r.Name, "/", "|") }
