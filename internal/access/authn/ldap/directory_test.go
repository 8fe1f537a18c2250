package ldap_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/ldap"
	"holdfast/test/slapd"
)

func people() []slapd.Person {
	return []slapd.Person{
		{UID: "alice", Password: "alice-password", Groups: []string{"admins", "developers"}},
		{UID: "bob", Password: "bob-password"},
		{UID: "deep", Password: "deep-password", Below: "far"},
		{UID: "a*b(c)\\\\d", Password: "odd-password"},
		{UID: "twin1", Also: "twin", Password: "twin-password"},
		{UID: "twin2", Also: "twin", Password: "twin-password"},
	}
}

func start(t *testing.T) *slapd.Server {
	t.Helper()
	s, err := slapd.Start(t.Context(), t.TempDir(), people()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// config is for a server, over LDAPS, and with nothing kept.
func config(s *slapd.Server) ldap.Config {
	return ldap.Config{Host: "127.0.0.1", Port: s.TLSPort, CACert: s.CAFile, BindDN: slapd.SearcherDN, BindPassword: slapd.SearcherPass,
		BaseDN: slapd.PeopleDN, UserAttribute: "uid", GroupAttribute: "memberOf", Timeout: 3 * time.Second, Cached: time.Nanosecond, Refusal: time.Nanosecond}
}

func open(t *testing.T, cfg ldap.Config) *ldap.Directory {
	t.Helper()
	d, err := ldap.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// unasked is an error that says neither yes nor no.
func unasked(err error) bool {
	return err != nil && !errors.Is(err, authn.ErrWrong) && !errors.Is(err, authn.ErrOther)
}

func TestCheck(t *testing.T) {
	s := start(t)
	for name, change := range map[string]func(*ldap.Config){
		"LDAPS":            func(*ldap.Config) {},
		"StartTLS":         func(c *ldap.Config) { c.Security, c.Port = ldap.StartTLS, s.Port },
		"plain":            func(c *ldap.Config) { c.Security, c.Port, c.CACert = ldap.Plain, s.Port, "" },
		"unverified":       func(c *ldap.Config) { c.CACert, c.SkipVerify = s.OtherCAFile, true },
		"filter":           func(c *ldap.Config) { c.UserFilter = "(!(uid=nobody))" },
		"bare filter":      func(c *ldap.Config) { c.UserFilter = "objectClass=inetOrgPerson" },
		"subtree":          func(c *ldap.Config) { c.Subtree, c.BaseDN = true, slapd.BaseDN },
		"one connection":   func(c *ldap.Config) { c.Connections = 1 },
		"attribute's case": func(c *ldap.Config) { c.UserAttribute, c.GroupAttribute = "UID", "MEMBEROF" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(s)
			change(&cfg)
			d := open(t, cfg)
			for range 2 { // the second uses the first one's connection
				got, err := d.Check(t.Context(), "alice", "alice-password")
				slices.Sort(got.Groups)
				want := access.Identity{Name: "alice", Way: access.LDAP, Groups: []string{slapd.GroupDN("admins"), slapd.GroupDN("developers")}}
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%v (-want +got)\n%s", err, diff)
				}
				if got, err := d.Check(t.Context(), "bob", "bob-password"); err != nil || got.Name != "bob" || len(got.Groups) > 0 {
					t.Errorf("%+v, %v", got, err)
				}
				if got, err := d.Check(t.Context(), "alice", "bob-password"); !errors.Is(err, authn.ErrWrong) || got.Name != "" {
					t.Errorf("a wrong password: %+v, %v", got, err)
				}
				if got, err := d.Check(t.Context(), "carol", "bob-password"); !errors.Is(err, authn.ErrOther) || got.Name != "" {
					t.Errorf("nobody: %+v, %v", got, err)
				}
				if _, err := d.Check(t.Context(), "deep", "deep-password"); cfg.Subtree != (err == nil) || !cfg.Subtree && !errors.Is(err, authn.ErrOther) {
					t.Errorf("further down: %v", err)
				}
			}
		})
	}
}

// TestNames: what a client sends is a name and nothing else, and one entry is one user.
func TestNames(t *testing.T) {
	s := start(t)
	d := open(t, config(s))
	for name, want := range map[string]string{"alice": "alice", "Alice": "alice", "ALICE": "alice", "a*b(c)\\\\d": "a*b(c)\\\\d"} {
		password := "alice-password"
		if strings.HasPrefix(name, "a*") {
			password = "odd-password"
		}
		if got, err := d.Check(t.Context(), name, password); err != nil || got.Name != want {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{"*", "ali*", "*)(uid=*", "alice)(uid=*", "*)(|(uid=*", "alice)", "(alice", `al\69ce`, "alice\x00", " alice", "alice  ", "a\xffb", "", strings.Repeat("a", 300), "twin", "ali\u00adce",
		"uid=alice," + slapd.PeopleDN, "*)(userPassword=*"} {
		for _, password := range []string{"alice-password", "twin-password"} {
			if got, err := d.Check(t.Context(), name, password); got.Name != "" || !errors.Is(err, authn.ErrWrong) && !errors.Is(err, authn.ErrOther) {
				t.Errorf("%q: %+v, %v", name, got, err)
			}
		}
	}
	for _, password := range []string{"", "\x00", strings.Repeat("p", 5000), "*"} {
		if got, err := d.Check(t.Context(), "alice", password); got.Name != "" || !errors.Is(err, authn.ErrWrong) {
			t.Errorf("password %q: %+v, %v", password, got, err)
		}
	}
	if _, err := d.Check(t.Context(), "twin", "twin-password"); !errors.Is(err, authn.ErrWrong) {
		t.Errorf("two entries: %v", err)
	}
	cfg := config(s)
	cfg.UserFilter = "(!(memberOf=" + slapd.GroupDN("admins") + "))"
	if _, err := open(t, cfg).Check(t.Context(), "alice", "alice-password"); !errors.Is(err, authn.ErrOther) {
		t.Errorf("whom the filter leaves out: %v", err)
	}
}

// TestUnasked: a directory that cannot be asked, or that does not trust its own account, is neither yes nor no.
func TestUnasked(t *testing.T) {
	s := start(t)
	for name, change := range map[string]func(*ldap.Config){
		"another authority": func(c *ldap.Config) { c.CACert = s.OtherCAFile },
		"system's":          func(c *ldap.Config) { c.CACert = "" },
		"StartTLS, other":   func(c *ldap.Config) { c.Security, c.Port, c.CACert = ldap.StartTLS, s.Port, s.OtherCAFile },
		"another host":      func(c *ldap.Config) { c.Host = "localhost" },
		"TLS of plain":      func(c *ldap.Config) { c.Port = s.Port },
		"plain of TLS":      func(c *ldap.Config) { c.Security, c.Timeout = ldap.Plain, time.Second },
		"nobody there":      func(c *ldap.Config) { c.Port = 1 },
		"account":           func(c *ldap.Config) { c.BindPassword = "wrong" },
		"no account":        func(c *ldap.Config) { c.BindDN = "cn=nobody," + slapd.BaseDN },
		"anonymous":         func(c *ldap.Config) { c.BindDN, c.BindPassword = "", "" }, // may not search
		"base":              func(c *ldap.Config) { c.BaseDN = "ou=nowhere," + slapd.BaseDN },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(s)
			change(&cfg)
			for _, user := range []string{"alice", "carol"} {
				got, err := open(t, cfg).Check(t.Context(), user, "alice-password")
				if name == "anonymous" && errors.Is(err, authn.ErrOther) && got.Name == "" {
					continue // slapd says that there is nothing to whom may see nothing
				}
				if !unasked(err) || got.Name != "" {
					t.Errorf("%s: %+v, %v", user, got, err)
				}
				if err != nil && strings.Contains(err.Error(), "password") {
					t.Errorf("shows a password: %v", err)
				}
			}
		})
	}
}

// TestOutage: killed and started again, frozen and thawed.
func TestOutage(t *testing.T) {
	s := start(t)
	cfg := config(s)
	d := open(t, cfg)
	kept := cfg
	kept.Cached = 4 * time.Second
	warm := open(t, kept)
	check := func(d *ldap.Directory, password string) error {
		_, err := d.Check(t.Context(), "alice", password)
		return err
	}
	for range 8 { // some connections that will be broken
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := check(d, "alice-password"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	s.Kill()
	for _, password := range []string{"alice-password", "wrong"} {
		if err := check(d, password); !unasked(err) {
			t.Errorf("killed: %v", err)
		}
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := check(d, "alice-password"); err != nil {
		t.Errorf("started again: %v", err)
	}
	if err := check(d, "wrong"); !errors.Is(err, authn.ErrWrong) {
		t.Errorf("started again: %v", err)
	}
	if _, known := warm.Known("alice", "alice-password"); known {
		t.Error("who was not asked for is known")
	}
	asked := time.Now()
	if err := check(warm, "alice-password"); err != nil {
		t.Fatal(err)
	}
	if id, known := warm.Known("alice", "alice-password"); !known || id.Name != "alice" || len(id.Groups) != 2 {
		t.Errorf("who was just asked for is not known: %+v", id)
	}
	if _, known := warm.Known("alice", "other"); known {
		t.Error("a wrong password is known")
	}
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := check(warm, "alice-password"); err != nil {
		t.Errorf("what was answered a moment ago: %v", err)
	}
	if err := check(warm, "other"); !unasked(err) {
		t.Errorf("frozen: %v", err)
	}
	time.Sleep(time.Until(asked.Add(kept.Cached + time.Second))) // what was answered is too old by then
	begin := time.Now()
	if err := check(warm, "alice-password"); !unasked(err) {
		t.Errorf("frozen: %v", err)
	}
	var all sync.WaitGroup
	for i := range 40 { // more than there are connections: they wait, and not for ever
		all.Go(func() {
			if err := check(d, fmt.Sprint("password ", i)); !unasked(err) {
				t.Errorf("frozen: %v", err)
			}
		})
	}
	all.Wait()
	if took := time.Since(begin); took > 4*cfg.Timeout {
		t.Errorf("it took %s to know", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin = time.Now()
	if _, err := d.Check(ctx, "alice", "alice-password"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 2*time.Second {
		t.Errorf("a client that left: %v after %s", err, time.Since(begin))
	}
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := check(d, "alice-password"); err != nil {
		t.Errorf("thawed: %v", err)
	}
}

// TestKept: a change in the directory holds when what was answered has become old, and a password's change at once for the new one.
func TestKept(t *testing.T) {
	s := start(t)
	cfg := config(s)
	cfg.Cached = time.Second
	d := open(t, cfg)
	if _, err := d.Check(t.Context(), "bob", "bob-password"); err != nil {
		t.Fatal(err)
	}
	changed := time.Now()
	if err := s.Modify(t.Context(), "dn: uid=bob,"+slapd.PeopleDN+"\nchangetype: modify\nreplace: userPassword\nuserPassword: another\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Check(t.Context(), "bob", "another"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	for {
		_, err := d.Check(t.Context(), "bob", "bob-password")
		if errors.Is(err, authn.ErrWrong) {
			break
		}
		if err != nil || time.Since(changed) > 3*time.Second {
			t.Fatalf("the old password, after %s: %v", time.Since(changed), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := s.Modify(t.Context(), "dn: uid=bob,"+slapd.PeopleDN+"\nchangetype: delete\n"); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, err := d.Check(t.Context(), "bob", "another")
		if errors.Is(err, authn.ErrOther) {
			break
		}
		if err != nil || time.Since(begin) > 3*time.Second {
			t.Fatalf("who was removed: %v", err)
		}
	}
}

// TestRefusalTime: how long a refusal takes does not tell whether there is such a name.
func TestRefusalTime(t *testing.T) {
	s := start(t)
	cfg := config(s)
	cfg.Refusal = 600 * time.Millisecond
	d := open(t, cfg)
	names := []string{"alice", "carol", "twin"} // known, unknown, of two entries
	took := make([][]time.Duration, len(names))
	for range 15 {
		var all sync.WaitGroup
		for i, name := range names { // at once: what slows the machine slows all of them
			all.Go(func() {
				begin := time.Now()
				if _, err := d.Check(t.Context(), name, "wrong-password"); err == nil || unasked(err) {
					t.Error(err)
				}
				took[i] = append(took[i], time.Since(begin))
			})
		}
		all.Wait()
	}
	var medians []time.Duration
	for _, one := range took {
		slices.Sort(one)
		medians = append(medians, one[len(one)/2])
	}
	if least, most := slices.Min(medians), slices.Max(medians); least < cfg.Refusal || most-least > least/20 {
		t.Errorf("%s: %s", names, medians)
	}
}

func TestProblems(t *testing.T) {
	_, err := ldap.New(ldap.Config{BindDN: "cn=a", BaseDN: "people", UserAttribute: "uid)(", UserFilter: "(a", GroupAttribute: "member of"})
	if err == nil || strings.Count(err.Error(), "\n") != 5 {
		t.Errorf("not all problems are listed: %v", err)
	}
	good := ldap.Config{Host: "h", BaseDN: "dc=a", UserAttribute: "uid"}
	if _, err := ldap.New(good); err != nil {
		t.Error(err)
	}
	good.CACert = "/not/there.pem"
	if _, err := ldap.New(good); err == nil {
		t.Error("a file that is not there is taken")
	}
}
