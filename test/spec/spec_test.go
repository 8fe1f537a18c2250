package spec_test

import (
	"flag"
	"os"
	"testing"

	"holdfast/test/cluster"
	"holdfast/test/cluster/clustertest"
	"holdfast/test/spec"
)

// TestMain lets eight rows run at once: they wait more than they work.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestSpec plays the tables against a registry on one machine's disk, one on S3,
// three behind HAProxy, and one with limits; or, with
// HOLDFAST_TEST_TARGETS set to name=url,name=url, against those that run
// already: "haproxy" is behind one, "limited" is what limit makes of one.
func TestSpec(t *testing.T) {
	t.Parallel()
	running, err := cluster.ParseEnv(os.Getenv("HOLDFAST_TEST_TARGETS"))
	if err != nil {
		t.Fatal(err)
	}
	for name, urls := range running {
		target := spec.Target{Name: name, URL: urls[0], Proxy: name == "haproxy", LongestName: versityName}
		if name == "limited" {
			target.Kind = spec.Limited
		}
		t.Run(name, func(t *testing.T) { spec.Run(t, target) })
	}
	if len(running) > 0 {
		return
	}
	binary, err := cluster.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	gateways, other, otherName := s3(t)
	for _, c := range []struct {
		name   string
		opt    cluster.Options
		target spec.Target
	}{
		{"local", cluster.Options{Store: cluster.Local, Replicas: 1, NoHAProxy: true}, spec.Target{}},
		{"s3", cluster.Options{S3: other, Replicas: 1, NoHAProxy: true}, spec.Target{LongestName: otherName}},
		{"haproxy", cluster.Options{S3: gateways}, spec.Target{Proxy: true, LongestName: versityName}},
		{"limited", cluster.Options{Store: cluster.Local, Replicas: 1, NoHAProxy: true, Edit: limit}, spec.Target{Kind: spec.Limited}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.opt.Binary = binary
			running := clustertest.Start(t, c.opt)
			c.target.Name, c.target.URL = c.name, running.URL
			if running.Bucket != "" {
				c.target.Secret = append(running.S3, running.Bucket)
			}
			spec.Run(t, c.target)
		})
	}
}

// versityName is the longest repository name that versitygw holds.
const versityName = 227

// s3 returns the gateways of two S3 servers of HOLDFAST_TEST_S3, which are one
// when there is one, or starts one; and the longest name that the other holds.
func s3(t *testing.T) (gateways, other []string, otherName int) {
	t.Helper()
	urls, err := cluster.ParseEnv(os.Getenv("HOLDFAST_TEST_S3"))
	if err != nil {
		t.Fatal(err)
	}
	if urls[cluster.VersityGW] == nil {
		servers, err := cluster.StartS3(t.Context(), t.Output(), cluster.VersityGW)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := servers.Stop(); err != nil {
				t.Error(err)
			}
		})
		urls[cluster.VersityGW] = servers.URLs[cluster.VersityGW]
	}
	gateways, other = urls[cluster.VersityGW], urls[cluster.Ceph]
	if other == nil {
		other, otherName = gateways, versityName
	}
	return gateways, other, otherName
}

func limit(cfg map[string]any) {
	cfg["storage"].(map[string]any)["delete"] = false
	cfg["http"].(map[string]any)["maxBlobSize"] = spec.MaxBlob
}

// TestSlowClients plays slow clients against one replica without a proxy.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	running := clustertest.Start(t, cluster.Options{Store: cluster.Local, Replicas: 1, NoHAProxy: true})
	spec.RunSlow(t, spec.Target{Name: "local", URL: running.URL})
}
