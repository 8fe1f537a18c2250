package logins

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// refused is what clients say of a registry that does not let them in: each in its own words, and none of them of one that does not answer.
var refused = regexp.MustCompile(`(?i)unauthorized|\b401\b|\bdenied\b|authentication required|invalid username/password|basic credential not found|no basic auth credentials|insufficient_scope|\b403\b|forbidden|tls: |handshake failure|bad certificate|unknown authority`)

// mustFail checks that a client was refused, and did not fail for another reason.
func mustFail(err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("it was let in")
	case !refused.MatchString(err.Error()):
		return fmt.Errorf("it failed, but not since it was refused: %w", err)
	}
	return nil
}

// cell is what came of a client in a way.
type cell struct {
	failed []string
	reason string // why it cannot
}

func (c cell) String() string {
	switch {
	case c.reason != "":
		return "cannot"
	case len(c.failed) > 0:
		return "FAILED: " + strings.Join(c.failed, ", ")
	}
	return "passed"
}

// TestLogins: each client logs in with a wrong secret and is refused, with the right one, pushes, pulls, logs out, may not push any more, and may pull where everybody may;
// who logs in and may only pull is refused a push.
func TestLogins(t *testing.T) {
	full := os.Getenv("HOLDFAST_TEST_LOGINS") == "full"
	var some []client
	var people []string
	for _, c := range all {
		if full || c.quick {
			some, people = append(some, c), append(people, c.name)
		}
	}
	tried, cells := []string{"client"}, map[string]cell{} // by client and way
	for i, w := range ways {
		if !full && i >= 3 {
			break
		}
		tried = append(tried, w.name)
		t.Run(w.slug(), func(t *testing.T) {
			site := w.at(t, people)
			for _, c := range some {
				t.Run(c.name, func(t *testing.T) { cells[c.name+" "+w.name] = c.visit(t, site, w) })
			}
		})
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	row := func(of []string) { _, _ = fmt.Fprintln(table, strings.Join(of, "\t")) } // a builder takes everything
	row(tried)
	var reasons []string
	for _, c := range some {
		of := []string{c.name}
		for _, way := range tried[1:] {
			cell, visited := cells[c.name+" "+way]
			if !visited {
				of = append(of, "-")
				continue
			}
			of = append(of, cell.String())
			if cell.reason != "" && !slices.Contains(reasons, cell.reason) {
				reasons = append(reasons, cell.reason)
			}
		}
		row(of)
	}
	_ = table.Flush()
	t.Logf("\n%s\n%s", text.String(), strings.Join(reasons, "\n"))
}

// visit is a client's whole visit to a site.
func (c client) visit(t *testing.T, site *site, w way) (got cell) {
	if w.certificate && c.uncertified != "" {
		return cell{reason: c.uncertified}
	}
	host := cmp.Or(site.front, site.host)
	if w.certificate && c.outside {
		if host = site.outside(t); host == "" {
			return cell{reason: c.name + " shows no certificate to a registry on a loopback address, and this machine has no other"}
		}
	}
	seat := &seat{t: t, host: host, repo: w.slug() + "/" + c.name, certs: site.pairs["none"]}
	s := c.sit(seat)
	step := func(what string, err error) bool {
		t.Helper()
		if err != nil {
			t.Errorf("%s, %s: %v", c.name, what, err)
			got.failed = append(got.failed, what)
		}
		return err == nil
	}
	enter, leave := func(secret string) error { return s.login(c.name, secret) }, s.logout
	var secret, spoilt string
	if w.certificate {
		enter = func(whose string) error {
			seat.certs = site.pairs[whose]
			return nil
		}
		leave = func() error { return enter("none") }
		secret, spoilt = "good", "wrong"
	} else {
		secret = w.right(t, site, c.name)
		spoilt = w.wrong(secret)
	}

	err := enter(spoilt)
	if err == nil && c.asks && !w.certificate {
		step("wrong login", fmt.Errorf("it was taken"))
	}
	switch {
	case err != nil:
	case w.anonymous: // to pull no secret is asked for
		err = s.push()
	default:
		err = s.pull()
	}
	step("wrong login", mustFail(err))

	if !step("login", enter(secret)) {
		return got
	}
	if d, ok := s.(*docker); ok && w.refreshes {
		step("refresh token", d.forgets(c.name, secret))
	}
	if step("push", s.push()) {
		step("pull", s.pull())
	}
	if !step("logout", leave()) {
		return got
	}
	again := func() error { // elsewhere: a client that finds that all is there already pushes nothing
		if !c.signs {
			repo := seat.repo
			defer func() { seat.repo = repo }()
			seat.repo += "-elsewhere"
		}
		return s.push()
	}
	step("push without", mustFail(again()))
	if w.anonymous {
		step("pull without", s.pull())
		if c.eager && step("wrong login, kept", s.login(c.name, spoilt)) { // who is wrong is not taken for nobody
			step("pull with the wrong", mustFail(s.pull()))
		}
	} else {
		step("pull without", mustFail(s.pull()))
	}
	if w.guests && step("guest's login", s.login(guest, password)) {
		step("guest's pull", s.pull())
		step("guest's push", mustFail(again()))
	}
	return got
}
