package logins

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/test/provider"
)

// soon is how long what was taken back may go on to be taken.
const soon = 5 * time.Second

// holds checks that every replica lets in who shows these headers, at once.
func (s *site) holds(t *testing.T, what string, header []string) {
	t.Helper()
	for n, replica := range s.cluster.Replicas {
		if a := ask(t, http.MethodGet, replica+"/v2/", "", header...); a.status != http.StatusOK {
			t.Errorf("%s at replica %d: %s", what, n+1, a)
		}
	}
}

// ends waits until no replica lets in who shows these headers. Each has let him in a moment ago, and remembers it.
func (s *site) ends(t *testing.T, what string, header []string) {
	t.Helper()
	from := time.Now()
	for n, replica := range s.cluster.Replicas {
		for {
			a := ask(t, http.MethodGet, replica+"/v2/", "", header...)
			if a.status == http.StatusUnauthorized {
				t.Logf("%s: refused at replica %d after %s", what, n+1, time.Since(from).Round(time.Millisecond))
				break
			}
			if time.Since(from) > soon {
				t.Errorf("%s at replica %d after %s: %s", what, n+1, soon, a)
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// tokens is what a replica's token endpoint gives for a password.
func tokens(t *testing.T, replica, person string) (token, refresh string) {
	t.Helper()
	a := ask(t, http.MethodGet, replica+"/auth/token?service=holdfast&offline_token=true&scope="+url.QueryEscape("repository:team/app:pull,push"), "", basic(person, password)...)
	var got struct {
		Token   string
		Refresh string `json:"refresh_token"`
	}
	if a.into(t, &got); got.Token == "" || got.Refresh == "" {
		t.Fatalf("a token for %s is answered %s", person, a)
	}
	return got.Token, got.Refresh
}

// refreshed is what a replica's token endpoint answers to a refresh token.
func refreshed(t *testing.T, replica, refresh string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "service": {"holdfast"}, "client_id": {"test"}, "refresh_token": {refresh}, "scope": {"repository:team/app:pull"}}
	return ask(t, http.MethodPost, replica+"/auth/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// roaming is a browser, each of whose steps is served by another replica. next chooses it.
func (s *site) roaming(first int) (b *provider.Browser, next func()) {
	at := first
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == s.host {
			address = strings.TrimPrefix(s.cluster.Replicas[at%len(s.cluster.Replicas)], "http://")
		}
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	return provider.NewBrowser(dial), func() { at++ }
}

// TestReplicas: a login, a token, an API key and a revocation of one replica hold at the others. Each is asked directly, and they share nothing but the bucket.
func TestReplicas(t *testing.T) {
	s := newSite(t, []string{"alice", "bob", "carol", "dave", "erin"})
	s.provide()
	s.start(object{"externalUrl": s.base, "auth": object{"htpasswd": object{"path": s.htpasswd()}, "token": object{}, "apikey": true, "openid": openID(s)}})
	at := s.cluster.Replicas

	t.Run("Token", func(t *testing.T) {
		token, refresh := tokens(t, at[0], "alice")
		s.holds(t, "a token of replica 1", bearer(token))
		for n, replica := range at {
			a := ask(t, http.MethodPost, replica+"/v2/team/app/blobs/uploads/", "", bearer(token)...)
			if a.status != http.StatusAccepted {
				t.Errorf("a push with a token of replica 1 at replica %d: %s", n+1, a)
			}
			if a := refreshed(t, replica, refresh); a.status != http.StatusOK {
				t.Errorf("a refresh token of replica 1 at replica %d: %s", n+1, a)
			}
		}
	})
	t.Run("Key", func(t *testing.T) {
		made, id := key(t, at[0], basic("alice", password)...)
		s.holds(t, "a key of replica 1 as a password", basic("alice", made))
		s.holds(t, "a key of replica 1 as a token", bearer(made))
		if a := ask(t, http.MethodDelete, at[1]+"/zot/auth/apikey?id="+id, "", basic("alice", password)...); a.status != http.StatusOK {
			t.Fatalf("its end at replica 2: %s", a)
		}
		s.ends(t, "a key that replica 2 has ended", basic("alice", made))
		s.ends(t, "the same as a token", bearer(made))
	})
	t.Run("Session", func(t *testing.T) {
		b, next := s.roaming(0)
		browse(t, b, s.base, "bob", next)
		cookie := cookies(t, b, s.base)
		s.holds(t, "a session begun at replica 1 and made at replica 2", cookie)
		made, _ := key(t, at[2], cookie...)
		s.holds(t, "a key that it made at replica 3", basic("bob", made))
		if a := ask(t, http.MethodPost, at[2]+"/zot/auth/logout", "", cookie...); a.status != http.StatusOK {
			t.Fatalf("its end at replica 3: %s", a)
		}
		s.ends(t, "a session that replica 3 has ended", cookie)
		s.holds(t, "the key, which does not end with it", basic("bob", made))
	})
	t.Run("Revocation", func(t *testing.T) {
		token, refresh := tokens(t, at[0], "carol")
		made, _ := key(t, at[1], basic("carol", password)...)
		b, next := s.roaming(1)
		browse(t, b, s.base, "carol", next)
		shown := map[string][]string{"a token": bearer(token), "a key": basic("carol", made), "a session": cookies(t, b, s.base)}
		for what, header := range shown {
			s.holds(t, what, header)
		}
		if out, err := exec.CommandContext(t.Context(), binary(t), "revoke", "--user=carol", s.cluster.ConfigFile(1)).CombinedOutput(); err != nil {
			t.Fatalf("holdfast revoke: %v: %s", err, out)
		}
		for what, header := range shown {
			s.ends(t, what+" after holdfast revoke", header)
		}
		for n, replica := range at {
			if a := refreshed(t, replica, refresh); a.status == http.StatusOK {
				t.Errorf("a refresh token that is revoked at replica %d: %s", n+1, a)
			}
		}
	})
	t.Run("User", func(t *testing.T) {
		token, refresh := tokens(t, at[1], "dave")
		made, _ := key(t, at[2], basic("dave", password)...)
		shown := map[string][]string{"a password": basic("dave", password), "a token": bearer(token), "a key": basic("dave", made)}
		for what, header := range shown {
			s.holds(t, what, header)
		}
		file := filepath.Join(s.dir, "htpasswd")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rest strings.Builder
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "dave:") {
				rest.WriteString(line)
			}
		}
		if err := os.WriteFile(file, []byte(rest.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		for what, header := range shown {
			s.ends(t, fmt.Sprintf("%s of who is not in the file any more", what), header)
		}
		for n, replica := range at {
			if a := refreshed(t, replica, refresh); a.status == http.StatusOK {
				t.Errorf("a refresh token of nobody at replica %d: %s", n+1, a)
			}
		}
		s.holds(t, "the others", basic("erin", password))
	})
}
