package guard

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"holdfast/internal/access"
	"holdfast/internal/access/policy"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

func rules(t *testing.T, c policy.Config) func() *policy.Policy {
	t.Helper()
	c.Given, c.Authenticates = true, true
	p, err := policy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return func() *policy.Policy { return p }
}

// allowing are rules that allow actions to everybody, in every repository.
func allowing(t *testing.T, actions ...access.Action) func() *policy.Policy {
	var list []string
	for _, a := range actions {
		list = append(list, string(a))
	}
	return rules(t, policy.Config{Repositories: map[string]policy.Repository{"**": {Default: list, Anonymous: list}}})
}

func as(ctx context.Context, name string) context.Context {
	r := &access.Request{}
	if name != "" {
		r.Identity = access.Identity{Name: name, Way: access.Htpasswd}
	}
	return access.With(ctx, r)
}

// needs says for every method which actions are enough, each of them alone.
var needs = map[string][]access.Action{
	"Blob":             {access.Read},
	"StatBlob":         {access.Read},
	"MountBlob":        {access.Create},
	"PushBlob":         {access.Create},
	"DeleteBlob":       {access.Delete},
	"StartUpload":      {access.Create},
	"AppendUpload":     {access.Create},
	"UploadStatus":     {access.Read, access.Create},
	"CommitUpload":     {access.Create},
	"CancelUpload":     {access.Delete, access.Create},
	"Resolve":          {access.Read},
	"PushManifest":     {access.Create},
	"DeleteTag":        {access.Delete},
	"DeleteManifest":   {access.Delete},
	"DeleteManifestIf": {access.Delete},
	"Tags":             {access.Read},
	"Referrers":        {access.Read},
}

// call calls a method with zero arguments. It reports whether the registry behind the guard, which is none, was reached.
func call(ctx context.Context, t *testing.T, g registry.Registry, method string) (reached bool, err error) {
	t.Helper()
	m := reflect.ValueOf(g).MethodByName(method)
	args := []reflect.Value{reflect.ValueOf(ctx)}
	for i := 1; i < m.Type().NumIn(); i++ {
		args = append(args, reflect.Zero(m.Type().In(i)))
	}
	defer func() {
		if recover() != nil {
			reached = true
		}
	}()
	out := m.Call(args)
	err, _ = out[len(out)-1].Interface().(error)
	return false, err
}

// Every method of the contract has a decision, which is made before the store is asked. A method that is added and forgotten here fails.
func TestEveryMethodIsGuarded(t *testing.T) {
	all := []access.Action{access.Read, access.Create, access.Update, access.Delete, access.DetectManifestCollision}
	contract := reflect.TypeFor[registry.Registry]()
	for i := range contract.NumMethod() {
		name := contract.Method(i).Name
		if name == "Repositories" {
			continue // TestCatalog
		}
		enough, known := needs[name]
		if !known {
			t.Errorf("%s: nothing says which actions it needs", name)
			continue
		}
		for _, action := range all {
			g := New(nil, allowing(t, action))
			for _, who := range []string{"alice", ""} {
				reached, err := call(as(t.Context(), who), t, g, name)
				want := slices.Contains(enough, action)
				if reached != want {
					t.Errorf("%s for %q with %s: the store was reached: %v, want %v (%v)", name, who, action, reached, want, err)
				}
				if want {
					continue
				}
				code := oci.Denied
				if who == "" {
					code = oci.Unauthorized
				}
				var refusal *Refusal
				if !errors.Is(err, &oci.Error{Code: code}) || !errors.As(err, &refusal) {
					t.Errorf("%s for %q with %s: %v, want %s", name, who, action, err, code)
				}
			}
		}
		if reached, err := call(t.Context(), t, New(nil, allowing(t)), name); !reached {
			t.Errorf("%s as work of our own: %v", name, err)
		}
	}
}
