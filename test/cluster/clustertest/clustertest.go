// Package clustertest starts installations of package cluster for tests.
package clustertest

import (
	"os"
	"testing"

	"holdfast/test/cluster"
)

// Start starts what opt says and stops it when the test ends, with the replicas' complaints in the log of a test
// that failed. The program is built unless opt names one; versitygw is the one of HOLDFAST_TEST_S3, if there
// is one, unless opt names gateways.
func Start(t *testing.T, opt cluster.Options) *cluster.Cluster {
	t.Helper()
	var err error
	if opt.Binary == "" {
		if opt.Binary, err = cluster.Build(t.Context(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	if len(opt.S3) == 0 && (opt.Store == "" || opt.Store == cluster.VersityGW) {
		running, err := cluster.ParseEnv(os.Getenv("HOLDFAST_TEST_S3"))
		if err != nil {
			t.Fatal(err)
		}
		opt.S3 = running[cluster.VersityGW]
	}
	if opt.Log == nil {
		opt.Log = t.Output()
	}
	c, err := cluster.Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Complaints())
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}
