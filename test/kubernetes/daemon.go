package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// start starts a program that runs until the namespaces end. It writes to its log;
func (s *site) start(ctx context.Context, name, path string, args ...string) error {
	log, err := os.Create(filepath.Join(s.dir, "log", name+".log"))
	if err != nil {
		return fmt.Errorf("kubernetes: start %s: %w", name, err)
	}
	defer log.Close() //nolint:errcheck // the child holds its own descriptor
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, s.dir
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("kubernetes: start %s: %w", name, err)
	}
	go func() { _ = cmd.Wait() }() // its log says why
	return nil
}

// until polls check until it returns nil, and gives its last error after limit.
func until(ctx context.Context, what string, limit time.Duration, check func(context.Context) error) error {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			say("%s after %s", what, time.Since(begun).Round(100*time.Millisecond))
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kubernetes: not %s within %s: %w", what, limit, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// answers returns a check: GET url is answered with 200.
func answers(url, token string) func(context.Context) error {
	// The API server makes itself a certificate that nobody has signed; it listens on loopback inside only.
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return errors.New(url + " answers " + resp.Status)
		}
		return nil
	}
}

// tails returns the last lines of all logs, for a failure.
func (s *site) tails() string {
	files, _ := filepath.Glob(filepath.Join(s.dir, "log", "*.log")) // the pattern is right
	var b strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&b, "\n%s:\n  %s\n", filepath.Base(file), strings.Join(lines[max(0, len(lines)-8):], "\n  "))
	}
	return b.String()
}
