package move_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/apikey"
	"holdfast/internal/access/authn/revoke"
	"holdfast/internal/format"
	"holdfast/internal/move"
	"holdfast/internal/move/movetest"
)

func apiKeys(t *testing.T, s format.Store) *apikey.Keys {
	t.Helper()
	keys, err := apikey.New(apikey.Config{Store: s, Revoked: revoke.New(s), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Close)
	return keys
}

func makeKey(t *testing.T, keys *apikey.Keys, user string) (key, id string) {
	t.Helper()
	key, made, err := keys.Make(t.Context(), access.Identity{Name: user, Way: access.Htpasswd}, apikey.Wanted{Scopes: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	return key, made.ID
}

// TestAccessComesBack: API keys and revocations are in a backup; what was deleted before is not, what is there stays, and a restore of a part brings none.
func TestAccessComesBack(t *testing.T) {
	from, _ := filled(t, movetest.Images(3))
	s := from.Store().Records
	keys := apiKeys(t, s)
	good, id := makeKey(t, keys, "alice")
	deleted, deletedID := makeKey(t, keys, "alice")
	gone, _ := makeKey(t, keys, "bob")
	if err := keys.Delete(t.Context(), "alice", deletedID); err != nil {
		t.Fatal(err)
	}
	if _, err := revoke.New(s).Revoke(t.Context(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	backup(t, from.Store(), dir, 0, 0)
	bring := func(to *movetest.Site, only ...string) {
		t.Helper()
		r, err := move.Do(t.Context(), move.Deps{Registry: to, Stores: []move.Store{to.Store()}}, move.Request{Do: move.OpRestore, Place: dir, Only: only}, nil)
		if err != nil || r.ProblemsTotal != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	to, _ := counted(t)
	bring(to, string(movetest.Images(3)[0].Repository))
	wants := func(to *movetest.Site, key string, want error) {
		t.Helper()
		if _, err := apiKeys(t, to.Store().Records).Verify(t.Context(), key); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	wants(to, good, authn.ErrWrong)
	for range 2 {
		bring(to)
		wants(to, good, nil)
		wants(to, deleted, authn.ErrWrong)
		wants(to, gone, authn.ErrWrong)
	}
	list, err := apiKeys(t, to.Store().Records).List(t.Context(), "alice")
	if err != nil || len(list) != 1 || list[0].ID != id || len(list[0].Scopes) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := apiKeys(t, to.Store().Records).Delete(t.Context(), "alice", id); err != nil {
		t.Fatal(err)
	}
	bring(to)
	wants(to, good, authn.ErrWrong)
}

// TestStrangeAccess: a snapshot with what is no API key is refused.
func TestStrangeAccess(t *testing.T) {
	from, _ := filled(t, movetest.Images(1))
	keys := apiKeys(t, from.Store().Records)
	_, id := makeKey(t, keys, "alice")
	for _, bad := range []string{"../../../cfg/secret", strings.Repeat("0", 31), strings.Repeat("A", 32), ""} {
		dir := t.TempDir()
		backup(t, from.Store(), dir, 0, 0)
		l := layout(t, dir)
		top, err := l.Index()
		if err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", top.Manifests[0].Digest.Encoded()))
		if err != nil {
			t.Fatal(err)
		}
		var index v1.Index
		if err := json.Unmarshal([]byte(strings.ReplaceAll(string(body), id, bad)), &index); err != nil {
			t.Fatal(err)
		}
		desc, err := l.WriteIndexBlob(context.WithoutCancel(t.Context()), index)
		if err != nil {
			t.Fatal(err)
		}
		desc.Annotations = top.Manifests[0].Annotations
		top.Manifests[0] = desc
		if err := l.WriteIndex(top); err != nil {
			t.Fatal(err)
		}
		to, _ := counted(t)
		if _, err := move.Do(t.Context(), move.Deps{Registry: to, Stores: []move.Store{to.Store()}}, move.Request{Do: move.OpRestore, Place: dir}, nil); err == nil {
			t.Errorf("%q was restored", bad)
		}
	}
}
