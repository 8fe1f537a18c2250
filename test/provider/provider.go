package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"holdfast/test/ports"
)

// Options are what a provider knows.
type Options struct {
	ClientID, ClientSecret string // no secret: a public client
	RedirectURLs           []string
	LogoutURLs             []string
	// People are claims of those who can log in, by the name that they do it with.
	People map[string]map[string]any
}

// Server is a provider. Its issuer stays the same when it is killed and run again; its people must log in again then.
type Server struct {
	Issuer string
	port   int
	env    []string
	script string
	cmd    *exec.Cmd
	exited chan struct{}
	out    *bytes.Buffer
}

// Start starts a provider, and returns when it answers. Kill ends it.
func Start(ctx context.Context, o Options) (*Server, error) {
	script, modules, err := Installed(ctx)
	if err != nil {
		return nil, err
	}
	found, err := ports.Free(ctx, 1)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	port := found[0]
	s := &Server{Issuer: "http://127.0.0.1:" + strconv.Itoa(port), port: port, script: script}
	client := map[string]any{"client_id": o.ClientID, "redirect_uris": o.RedirectURLs, "post_logout_redirect_uris": o.LogoutURLs,
		"grant_types": []string{"authorization_code"}, "response_types": []string{"code"}}
	if o.ClientSecret != "" {
		client["client_secret"] = o.ClientSecret
	} else {
		client["token_endpoint_auth_method"] = "none"
	}
	text, err := json.Marshal(map[string]any{"port": port, "issuer": s.Issuer, "clients": []any{client}, "people": o.People})
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	s.env = append(os.Environ(), "MODULES="+modules, "OPTIONS="+string(text))
	return s, s.Run(ctx)
}

// Installed finds our script and oidc-provider, which scripts/tools.sh installs.
func Installed(ctx context.Context) (script, modules string, err error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", "", fmt.Errorf("provider: find the project: %w", err)
	}
	root := strings.TrimSpace(string(out))
	tools := os.Getenv("HOLDFAST_TOOLS")
	if tools == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", "", fmt.Errorf("provider: find the tools: %w", err)
		}
		tools = filepath.Join(home, ".cache", "holdfast", "tools")
	}
	if out, err := exec.CommandContext(ctx, filepath.Join(root, "scripts", "tools.sh"), "openid").CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("provider: install: %w: %s", err, out)
	}
	return filepath.Join(root, "test", "provider", "server.mjs"), filepath.Join(tools, "oidc-provider"), nil
}

// Run starts a provider that was killed.
func (s *Server) Run(ctx context.Context) error {
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), "node", s.script)
	s.cmd.Env, s.out, s.exited = s.env, &bytes.Buffer{}, make(chan struct{})
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("provider: start: %w", err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // it was killed
		close(exited)
	}(s.cmd, s.exited)
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Issuer+"/.well-known/openid-configuration", http.NoBody)
		if err != nil {
			return fmt.Errorf("provider: %w", err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			if err := resp.Body.Close(); err == nil && resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.exited:
			return fmt.Errorf("provider: it ended: %s", s.out)
		case <-ctx.Done():
			return fmt.Errorf("provider: it does not answer: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Kill ends the provider, and waits for its end.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.exited
}

// Browser keeps cookies, and follows no redirect by itself. Dial, when it is set, says where the registry's host is: another replica for each request.
type Browser struct{ http.Client }

// NewBrowser returns one without any cookies. dial may be nil.
func NewBrowser(dial func(ctx context.Context, network, address string) (net.Conn, error)) *Browser {
	jar, _ := cookiejar.New(nil) // has no errors
	return &Browser{http.Client{
		Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Answer is one without its body.
type Answer struct {
	Status     string
	StatusCode int
	Header     http.Header
}

// Cookies are those that it sets.
func (a *Answer) Cookies() []*http.Cookie { return (&http.Response{Header: a.Header}).Cookies() }

// Do makes a request, with a form and headers (name, value, ...), and returns the answer with its body.
func (b *Browser) Do(ctx context.Context, method, to string, form url.Values, header ...string) (*Answer, string, error) {
	var body io.Reader = http.NoBody
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return nil, "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.Client.Do(req)
	if err != nil {
		return nil, "", err
	}
	text, err := io.ReadAll(resp.Body)
	return &Answer{resp.Status, resp.StatusCode, resp.Header}, string(text), errors.Join(err, resp.Body.Close())
}

// LogIn goes from the URL of a provider, through its forms, as a person, to the URL that the provider sends the browser back to, which it does not ask for.
func (b *Browser) LogIn(ctx context.Context, from, person, back string) (string, error) {
	action := regexp.MustCompile(`<form[^>]*action="([^"]+)"`)
	prompt := regexp.MustCompile(`name="prompt" value="([^"]+)"`)
	at, form := from, url.Values(nil)
	for range 20 {
		method := http.MethodGet
		if form != nil {
			method = http.MethodPost
		}
		resp, body, err := b.Do(ctx, method, at, form)
		if err != nil {
			return "", fmt.Errorf("provider: %s %s: %w", method, at, err)
		}
		here, err := url.Parse(at)
		if err != nil {
			return "", fmt.Errorf("provider: %w", err)
		}
		form = nil
		if to := resp.Header.Get("Location"); to != "" {
			next, err := here.Parse(to)
			if err != nil {
				return "", fmt.Errorf("provider: %w", err)
			}
			if at = next.String(); strings.HasPrefix(at, back) {
				return at, nil
			}
			continue
		}
		found, which := action.FindStringSubmatch(body), prompt.FindStringSubmatch(body)
		if found == nil || which == nil {
			return "", fmt.Errorf("provider: %s answers %s: %s", at, resp.Status, body)
		}
		next, err := here.Parse(html.UnescapeString(found[1]))
		if err != nil {
			return "", fmt.Errorf("provider: %w", err)
		}
		at, form = next.String(), url.Values{"prompt": {which[1]}, "login": {person}, "password": {"any"}}
	}
	return "", errors.New("provider: the login does not end")
}
