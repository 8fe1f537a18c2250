package conformance

import (
	"context"
	"encoding/xml"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/test/cluster"
	"holdfast/test/cluster/clustertest"
)

// installation is one of the ways that the registry runs.
type installation struct {
	name    string
	options cluster.Options
}

var installations = []installation{
	{"local", cluster.Options{Store: cluster.Local, Replicas: 1, NoHAProxy: true}},
	{"one replica on S3", cluster.Options{Store: cluster.VersityGW, Replicas: 1, NoHAProxy: true}},
	{"three replicas behind HAProxy", cluster.Options{Store: cluster.VersityGW, Replicas: 3}},
	{"three replicas behind HAProxy, Ceph", cluster.Options{Store: cluster.Ceph, Replicas: 3}},
}

// suite is one of the official programs.
type suite struct {
	variable string // of the environment, the program's path
	args     []string
	env      func(host, results string) []string
	report   string // the JUnit file that it writes into results
	// skips are the tests that the suite leaves out by its own settings: what needs another mode of the
	// same test, or what the spec leaves to the registry.
	skips []string
}

var suites = []suite{
	{
		variable: "CONFORMANCE_V1",
		env: func(host, results string) []string {
			return []string{
				"OCI_ROOT_URL=http://" + host, "OCI_NAMESPACE=conf/one", "OCI_CROSSMOUNT_NAMESPACE=conf/two",
				"OCI_TEST_PULL=1", "OCI_TEST_PUSH=1", "OCI_TEST_CONTENT_DISCOVERY=1", "OCI_TEST_CONTENT_MANAGEMENT=1",
				"OCI_HIDE_SKIPPED_WORKFLOWS=0", "OCI_DEBUG=0", "OCI_DELETE_MANIFEST_BEFORE_BLOBS=0",
				"OCI_AUTOMATIC_CROSSMOUNT=1", "OCI_REPORT_DIR=" + results,
			}
		},
		report: "junit.xml",
		skips: []string{
			"Get tag name from environment",                                                             // for registries that cannot be pushed to
			"Populate registry with test tags (no push)",                                                // the same
			"Cross-mounting without from, and automatic content discovery disabled should return a 202", // ours is enabled
			"Cross-mounting of nonexistent blob should yield session id",                                // the suite skips it itself
		},
	},
	{
		variable: "CONFORMANCE_MAIN",
		env: func(host, results string) []string {
			return []string{
				"OCI_VERSION=dev", "OCI_REGISTRY=" + host, "OCI_TLS=disabled", "OCI_REPO1=conf/m1", "OCI_REPO2=conf/m2",
				"OCI_RESULTS_DIR=" + results,
			}
		},
		report: "junit.xml",
	},
}

func TestConformance(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Minute)
	defer cancel()
	binary, err := cluster.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, inst := range installations {
		t.Run(inst.name, func(t *testing.T) {
			options := inst.options
			options.Binary = binary
			c := clustertest.Start(t, options)
			at, err := url.Parse(c.URL)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range suites {
				t.Run(s.variable, func(t *testing.T) { s.run(ctx, t, at.Host) })
			}
		})
	}
}

func (s suite) run(ctx context.Context, t *testing.T, host string) {
	program := os.Getenv(s.variable)
	if program == "" {
		t.Fatalf("%s is not set: give the path of the suite's program (docs/conformance.md)", s.variable)
	}
	results := t.TempDir()
	cmd := exec.CommandContext(ctx, program, s.args...)
	cmd.Dir = results
	cmd.Env = append(os.Environ(), s.env(host, results)...)
	out, runErr := cmd.CombinedOutput()
	total, skipped := readReport(t, filepath.Join(results, s.report), s.skips)
	t.Logf("%d tests, %d skipped", total, skipped)
	if runErr != nil {
		t.Fatalf("%v\n%s", runErr, out)
	}
}

// readReport reads a JUnit report. A failure, no test at all, or a skip that is not expected fails the test.
func readReport(t *testing.T, path string, skips []string) (total, skipped int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("the suite wrote no report: %v", err)
	}
	var report struct {
		Suites []struct {
			Cases []struct {
				Name    string    `xml:"name,attr"`
				Status  string    `xml:"status,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			total++
			if c.Failure != nil || c.Error != nil {
				t.Errorf("failed: %s", c.Name)
			}
			if c.Skipped == nil {
				continue
			}
			skipped++
			expected := false
			for _, s := range skips {
				expected = expected || strings.HasSuffix(c.Name, s)
			}
			if !expected && !strings.Contains(c.Name, "Sparse") {
				t.Errorf("skipped: %s", c.Name)
			}
		}
	}
	if total == 0 {
		t.Error("the report has no test")
	}
	return total, skipped
}
