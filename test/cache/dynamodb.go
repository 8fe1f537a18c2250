package cache

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"time"

	"holdfast/test/ports"
)

// DynamoDB is a server that speaks its protocol, with all tables in memory. Its methods are for one caller at a time.
type DynamoDB struct {
	URL string
	process
}

// StartDynamoDB starts a server without any table, on the given port, or a free one for 0. Kill ends it.
func StartDynamoDB(ctx context.Context, port int) (*DynamoDB, error) {
	if err := installed(ctx); err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	if port == 0 {
		found, err := ports.Free(ctx, 1)
		if err != nil {
			return nil, err
		}
		port = found[0]
	}
	d := &DynamoDB{URL: "http://" + ports.Address(port), process: process{path: node, port: port, args: []string{
		DynaliteScript(), "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--createTableMs", "50", "--deleteTableMs", "0",
	}}}
	if err := d.run(ctx); err != nil {
		return nil, err
	}
	return d, until(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}

// Run starts the server that was killed; it has no tables then.
func (d *DynamoDB) Run(ctx context.Context) error { return d.run(ctx) }

// Kill ends the server, frozen or not.
func (d *DynamoDB) Kill() { d.kill() }

// Freeze stops it as a machine that hangs does; Thaw lets it go on.
func (d *DynamoDB) Freeze() error { return d.freeze() }

// Thaw ends Freeze.
func (d *DynamoDB) Thaw() error { return d.thaw() }
