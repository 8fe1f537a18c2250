// Command cluster runs three replicas of Holdfast behind HAProxy over a real S3
// server on this machine, until Ctrl-C:
//
//	go run ./test/cmd/cluster
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"holdfast/test/cluster"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() (err error) {
	store := flag.String("store", cluster.VersityGW, "S3 server: versitygw or ceph")
	cache := flag.String("cache", "", "cache that the replicas share: redis, dynamodb or none (default: "+cluster.CacheVariable+", else none)")
	port := flag.Int("port", 8080, "HAProxy's port; the replicas use the ports after it")
	replicas := flag.Int("replicas", 3, "number of replicas")
	binary := flag.String("binary", "", "holdfast program (default: built from ./cmd/holdfast)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	say := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

	if *binary == "" {
		dir, err := os.MkdirTemp("", "holdfast-build-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
		say("building holdfast")
		if *binary, err = cluster.Build(ctx, dir); err != nil {
			return err
		}
	}
	opt := cluster.Options{Store: *store, Cache: *cache, Bucket: "zot-storage", Binary: *binary, HAProxyPort: *port, Log: os.Stderr}
	for n := range *replicas {
		opt.ReplicaPorts = append(opt.ReplicaPorts, *port+1+n)
	}
	c, err := cluster.Start(ctx, opt)
	if err != nil {
		return err
	}
	defer func() {
		say("ending all that was started")
		err = errors.Join(err, c.Stop())
	}()
	fmt.Print(next(c, *port))
	<-ctx.Done()
	return nil
}

// next says what one can type now.
func next(c *cluster.Cluster, port int) string {
	host := fmt.Sprintf("127.0.0.1:%d", port)
	return fmt.Sprintf(`
The registry is at %[1]s (HAProxy, round robin), its replicas at
  %[2]s

Try, in another terminal:
  podman push --tls-verify=false IMAGE %[1]s/demo/app:1
  crane --insecure copy SOURCE %[1]s/demo/app:1
  crane --insecure ls %[1]s/demo/app
  curl -s http://%[1]s/v2/_catalog
  curl -s %[3]s/v2/demo/app/tags/list      # any replica knows what another took
  kill -9 %[4]d                                        # replica 1, while a push runs

Ctrl-C ends everything and removes its data.
`, host, strings.Join(c.Replicas, "\n  "), c.Replicas[len(c.Replicas)-1], c.Pid(1))
}
