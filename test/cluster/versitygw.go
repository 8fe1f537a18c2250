package cluster

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"holdfast/test/ports"
)

// The keys of every S3 server that is started here.
const (
	AccessKey = "test"
	SecretKey = "testtest"
	Region    = "us-east-1"

	gatewayFolder = "versitygw"
)

// startVersityGW runs two gateways over one folder: one S3 store with two front
// doors, so that no test passes by the luck of a single process.
func startVersityGW(ctx context.Context, g *group, dir string, say progress) ([]string, error) {
	bin, err := Tool("versitygw")
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, gatewayFolder)
	if err := os.MkdirAll(root, 0o750); err != nil {
		return nil, err
	}
	found, err := ports.Free(ctx, 2)
	if err != nil {
		return nil, err
	}
	var urls []string
	for i, port := range found {
		// Without keep-alive it closes each connection. The object lock file stays
		// on: it is what makes conditional writes atomic across the two.
		p, err := g.start(ctx, command{name: "versitygw-" + strconv.Itoa(i+1), path: bin, args: []string{
			"-q", "-a", AccessKey, "-s", SecretKey, "-r", Region, "-p", ports.Address(port),
			"--keep-alive", "--health", "/health", "posix", root,
		}})
		if err != nil {
			return nil, err
		}
		url := "http://" + ports.Address(port)
		if err := p.ready(ctx, 20*time.Second, answers(url+"/health", http.StatusOK)); err != nil {
			return nil, err
		}
		say("%s answers at %s", p.name, url)
		urls = append(urls, url)
	}
	return urls, nil
}
