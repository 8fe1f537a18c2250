package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"holdfast/test/ports"
)

// config returns replica n's configuration: the published sample for S3 with
// this machine's addresses, or, without a bucket, a folder of its own.
func (c *Cluster) config(n, port int) map[string]any {
	storage := map[string]any{
		"rootDirectory": filepath.Join(c.dir, "replica-"+strconv.Itoa(n)),
		"dedupe":        true,
	}
	if len(c.S3) > 0 {
		endpoint := c.fronts[n-1]
		host := endpoint
		if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
			host = u.Scheme + "://" + u.Host
		}
		storage["storageDriver"] = map[string]any{
			"name":           "s3",
			"rootdirectory":  "/zot",
			"region":         Region,
			"regionendpoint": host,
			"bucket":         c.Bucket,
			"accesskey":      AccessKey,
			"secretkey":      SecretKey,
			"secure":         false,
			"skipverify":     false,
		}
	}
	if c.shared != nil {
		storage["cacheDriver"] = c.shared
	}
	cfg := map[string]any{
		"distSpecVersion": "1.1.1",
		"storage":         storage,
		// No drainDelay: HAProxy, as published, would not notice that a replica drains.
		"http": map[string]any{"address": "127.0.0.1", "port": strconv.Itoa(port), "drainDelay": "0s"},
		"log":  map[string]any{"level": "debug"},
	}
	if c.opt.Edit != nil {
		c.opt.Edit(cfg)
	}
	return cfg
}

// ConfigFile is the configuration of replica n, for commands on its store.
func (c *Cluster) ConfigFile(n int) string {
	return filepath.Join(c.dir, "config-"+strconv.Itoa(n)+".json")
}

// LogFile is where replica n writes its log, over restarts too.
func (c *Cluster) LogFile(n int) string { return c.replicas[n-1].log }

// startFront finds where replica n finds the store, the first time that it starts. The second replica
// uses the second gateway, so that the replicas agree through the store and not through one server's
// memory; but replicas share a cache only where they name the store alike.
func (c *Cluster) startFront(n int) error {
	if len(c.S3) == 0 || c.fronts[n-1] != "" {
		return nil
	}
	gateway := c.S3[(n-1)%min(2, len(c.S3))]
	if c.Cache != "" {
		gateway = c.S3[0]
	}
	if c.opt.Front == nil {
		c.fronts[n-1] = gateway
		return nil
	}
	front, err := c.opt.Front(n, gateway)
	if err != nil {
		return fmt.Errorf("cluster: proxy before %s for replica %d: %w", gateway, n, err)
	}
	c.fronts[n-1] = front
	return nil
}

// startReplica runs "holdfast serve" with replica n's configuration and waits
// until it says that it is ready.
func (c *Cluster) startReplica(ctx context.Context, n int) error {
	return c.startReplicaAs(ctx, n, c.opt.Binary)
}

func (c *Cluster) startReplicaAs(ctx context.Context, n int, binary string) error {
	port := c.ports[n-1]
	if err := free(ctx, port, "replica "+strconv.Itoa(n)); err != nil {
		return err
	}
	if err := c.startFront(n); err != nil {
		return err
	}
	text, err := json.MarshalIndent(c.config(n, port), "", "  ")
	if err != nil {
		return fmt.Errorf("cluster: write configuration: %w", err)
	}
	file := c.ConfigFile(n)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("cluster: write configuration: %w", err)
	}
	line := slices.Concat(c.opt.Prefix, []string{binary, "serve", file})
	env := c.opt.Env
	if c.cacheKind == DynamoDB { // the driver finds its keys there alone
		env = slices.Concat([]string{"AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey}, env)
	}
	p, err := c.group.start(ctx, command{
		name: "replica-" + strconv.Itoa(n), path: line[0], args: line[1:], env: env,
	})
	if err != nil {
		return err
	}
	c.replicas[n-1] = p
	return p.ready(ctx, 30*time.Second, c.answers(port, "/readyz"))
}

// scheme is what the replicas speak.
func (c *Cluster) scheme() string {
	if c.opt.Trust != nil {
		return "https://"
	}
	return "http://"
}

// answers returns a probe: what listens on port answers 200 to GET path.
func (c *Cluster) answers(port int, path string) func(context.Context) error {
	client := http.DefaultClient
	if c.opt.Trust != nil {
		client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.opt.Trust, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	}
	return answersBy(client, c.scheme()+ports.Address(port)+path, http.StatusOK)
}
