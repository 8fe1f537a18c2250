package scope_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/access"
	"holdfast/internal/access/scope"
	"holdfast/internal/oci"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"repository:a/b:pull":                 "repository:a/b:pull",
		"repository:a/b:pull,push,pull":       "repository:a/b:pull,push",
		"repository:a:pull repository:a:push": "repository:a:pull,push",
		"repository:a:pull  repository:b:*":   "repository:a:pull repository:b:*",
		"repository(plugin):a:pull":           "repository:a:pull",
		"registry:catalog:*":                  "registry:catalog:*",
		"registry:catalog:pull":               "",
		"registry:other:*":                    "",
		"repository:a:fly":                    "",
		"repository:a:pull,fly":               "repository:a:pull",
		"repository:a:":                       "",
		"repository:A:pull":                   "",
		"repository:host:5000/a:pull":         "",
		"repository:../a:pull":                "",
		"repository:a/*:pull":                 "",
		"repository:*:pull":                   "",
		"other:a:pull":                        "",
		"repository:a":                        "",
		"":                                    "",
		":::":                                 "",
		"repository:" + strings.Repeat("a", 256) + ":pull":    "",
		"repository:a:pull," + strings.Repeat("pull,", 1<<10): "",
	} {
		all, err := scope.Parse([]string{text})
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := join(all); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	if _, err := scope.Parse([]string{strings.Repeat("x ", scope.Most+1)}); !errors.Is(err, scope.ErrTooMany) {
		t.Errorf("too many: %v", err)
	}
}

func join(all []scope.Access) string {
	var texts []string
	for _, a := range all {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, " ")
}

func TestFor(t *testing.T) {
	for want, actions := range map[string][]access.Action{
		"repository:a:pull":             {access.Read},
		"repository:a:pull,push":        {access.Create, access.Update},
		"repository:a:delete":           {access.Delete},
		"repository:a:pull,push,delete": {access.Read, access.Update, access.Delete},
	} {
		if got := scope.For("a", actions...); got != want {
			t.Errorf("%v: %q, want %q", actions, got, want)
		}
	}
}

// TestLimits: the claim as token servers write it.
func TestLimits(t *testing.T) {
	var all []scope.Access
	if err := json.Unmarshal([]byte(`[{"type":"repository","name":"a","actions":["pull"]},{"type":"repository","class":"","name":"b","actions":["*","fly"]},
		{"type":"repository","name":"late","actions":["pull"],"exp":1000},{"type":"repository","name":"soon","actions":["pull"],"exp":2000.5},{"type":"registry","name":"catalog","actions":["*"]},
		{"type":"repository","name":"NO","actions":["pull"]},{"type":"x","name":"a","actions":["push"]},{"type":"repository","name":"none","actions":null}]`), &all); err != nil {
		t.Fatal(err)
	}
	got := scope.Limits(all, true, time.Unix(1000, 0))
	want := &access.Limits{Rules: true, Catalog: true, Repositories: []access.Limit{
		{Name: "a", Actions: []access.Action{access.Read}},
		{Name: "b", Actions: []access.Action{access.Read, access.Create, access.Update, access.Delete, access.DetectManifestCollision}},
		{Name: "soon", Actions: []access.Action{access.Read}},
		{Name: "none"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Allow("a", access.Create) || !got.Allow("b", access.Delete) || got.Allow("late", access.Read) {
		t.Error("what it allows")
	}
}

// FuzzScope: whatever is asked for, what comes of it are names that are valid, actions that are known, no more than was asked for, and the same when it is read again.
func FuzzScope(f *testing.F) {
	for _, text := range []string{"repository:a/b:pull,push", "registry:catalog:*", "repository(plugin):a:pull repository:b:*", ":::", "repository:h:5/a:pull"} {
		f.Add(text, "")
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		all, err := scope.Parse([]string{one, other})
		if err != nil {
			return
		}
		again, err := scope.Parse([]string{join(all)})
		if diff := cmp.Diff(all, again); diff != "" || err != nil {
			t.Errorf("read again: %v\n%s", err, diff)
		}
		for _, a := range all {
			_, err := oci.ParseRepository(a.Name)
			switch {
			case a.Type == scope.Registry && (a.Name != scope.Catalog || !slices.Equal(a.Actions, []string{scope.All})), a.Type == scope.Repository && err != nil:
				t.Errorf("%+v", a)
			case !strings.Contains(one+" "+other, a.Name) || len(a.Actions) == 0:
				t.Errorf("%+v was not asked for", a)
			}
			for _, action := range a.Actions {
				if !strings.Contains(one+" "+other, action) || scope.Actions(action) == nil {
					t.Errorf("%+v was not asked for", a)
				}
			}
		}
	})
}
