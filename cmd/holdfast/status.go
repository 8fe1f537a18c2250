package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/cluster"
	"holdfast/internal/record"
	"holdfast/internal/server"
)

// tokenVariable has the token for a replica that is asked, so that it need not be on a command line that others can see.
const tokenVariable = "HOLDFAST_TOKEN"

// watchEvery is how often a status that is watched is asked for.
const watchEvery = 2 * time.Second

type statusFlags struct {
	url, token  string
	cacert      string
	json, watch bool
}

func newStatus() *cobra.Command {
	var flags statusFlags
	cmd := &cobra.Command{
		Use:   "status [config]",
		Short: "Print how the whole cluster is, what is wrong first",
		Long: `Print every replica with its last minute, the bucket's format and self-test, the collector and the scrub, as each replica sees them too.

Given a configuration file it looks into the bucket itself, and needs no replica: nothing is tested and nothing is written. Of a local directory it asks
the server that has it open. With --url it asks a replica, or the load balancer, for which it needs a token of "holdfast token".

Exit code 0: all is well. 1: something is wrong: no replica is ready; one is not ready, or was lost within the hour and not replaced; one in twenty requests,
or of the store's answers, fails at a replica; a clock is off by a minute; the collector failed, did not end a pass for two days, or may not delete; something that is
stored is damaged; a replica does not know a feature that is enabled; a part of the store cannot be read. What is marked as a note does not count. 75: the store, or
the replica, does not answer.`,
		Example: "  holdfast status /etc/holdfast/config.json\n  HOLDFAST_TOKEN=$(holdfast token /etc/holdfast/config.json) holdfast status --url=https://registry.example --watch",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return showStatus(cmd, args, flags) },
	}
	cmd.Flags().StringVar(&flags.url, "url", "", "ask the replica, or the load balancer, at this URL")
	cmd.Flags().StringVar(&flags.token, "token", "", "of \"holdfast token\", for --url; better in the environment, as "+tokenVariable)
	cmd.Flags().StringVar(&flags.cacert, "cacert", "", "a file in PEM with the authority of the replica's certificate, for --url; where it is not given, the system's")
	cmd.Flags().BoolVar(&flags.json, "json", false, "print JSON, as the API has it")
	cmd.Flags().BoolVar(&flags.watch, "watch", false, "print it again every two seconds, until Ctrl-C; with --json one document a line")
	return cmd
}

func showStatus(cmd *cobra.Command, args []string, flags statusFlags) (err error) {
	ctx := cmd.Context()
	look, done, err := openLook(ctx, args, flags, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if flags.watch {
		return watchStatus(ctx, look, flags.json, cmd.OutOrStdout())
	}
	v, err := look(ctx)
	if err != nil {
		return err
	}
	if err := printStatus(v, flags.json, false, cmd.OutOrStdout()); err != nil {
		return err
	}
	if !v.Well {
		return codeError{code: exitFailure}
	}
	return nil
}

func openLook(ctx context.Context, args []string, flags statusFlags, stderr io.Writer) (server.Look, func() error, error) {
	if flags.url != "" {
		if len(args) > 0 {
			return nil, nil, usageError{errors.New("a configuration file or --url: not both")}
		}
		if flags.token == "" {
			flags.token = os.Getenv(tokenVariable)
		}
		client, err := replicaClient(flags.cacert)
		if err != nil {
			return nil, nil, usageError{err}
		}
		return askReplica(client, strings.TrimRight(flags.url, "/"), flags.token), func() error { return nil }, nil
	}
	cfg, _, err := load(args) // verify shows the warnings
	if err != nil {
		return nil, nil, err
	}
	stores, err := serverConfig(cfg)
	if err != nil {
		return nil, nil, err
	}
	return server.OpenLook(ctx, stores, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError})))
}

// replicaClient is a client that believes the authorities of a file; "": the system's.
func replicaClient(cacert string) (*http.Client, error) {
	client := &http.Client{Timeout: 15 * time.Second}
	if cacert == "" {
		return client, nil
	}
	text, err := os.ReadFile(cacert)
	if err != nil {
		return nil, fmt.Errorf("--cacert: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--cacert: %s: no certificate in PEM", cacert)
	}
	client.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	return client, nil
}

// askReplica looks through a replica.
func askReplica(client *http.Client, url, token string) server.Look {
	return func(ctx context.Context) (v cluster.View, err error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v2/_holdfast/cluster", nil)
		if err != nil {
			return v, usageError{fmt.Errorf("--url: %w", err)}
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req)
		if err != nil {
			return v, fmt.Errorf("%w: %w", record.ErrUnavailable, err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
		switch {
		case err != nil:
			return v, fmt.Errorf("%w: %w", record.ErrUnavailable, err)
		case resp.StatusCode == http.StatusUnauthorized:
			return v, fmt.Errorf("%s asks for a token that is still good: HOLDFAST_TOKEN=$(holdfast token config.json)", url)
		case resp.StatusCode >= 500:
			return v, fmt.Errorf("%w: %s answers %s", record.ErrUnavailable, url, resp.Status)
		case resp.StatusCode != http.StatusOK:
			return v, fmt.Errorf("%s answers %s", url, resp.Status)
		}
		if err := json.Unmarshal(body, &v); err != nil {
			return v, fmt.Errorf("%s answers with something else than the status of a cluster: %w", url, err)
		}
		return v, nil
	}
}

// watchStatus prints until ctx ends. What cannot be told now is told, and asked for again.
func watchStatus(ctx context.Context, look server.Look, asJSON bool, out io.Writer) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		v, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && errors.As(err, new(usageError)):
			return err
		case err != nil && asJSON:
			err = json.NewEncoder(out).Encode(map[string]string{"error": err.Error()})
		case err != nil:
			_, err = fmt.Fprintf(out, "%sno status: %v\n", wipe(out), err)
		default:
			err = printStatus(v, asJSON, true, out)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func printStatus(v cluster.View, asJSON, again bool, out io.Writer) error {
	if asJSON {
		e := json.NewEncoder(out)
		if !again {
			e.SetIndent("", "  ")
		}
		return e.Encode(v)
	}
	var text bytes.Buffer // at once, so that nothing flickers
	if again {
		text.WriteString(wipe(out))
	}
	if err := v.WriteTable(&text); err != nil {
		return err
	}
	_, err := out.Write(text.Bytes())
	return err
}

// wipe is what empties a terminal, and a line between two prints elsewhere.
func wipe(out io.Writer) string {
	if isTerminal(out) {
		return "\x1b[H\x1b[2J"
	}
	return "\n"
}
