package chart

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"holdfast/test/chart/schemas"
	"holdfast/test/cluster"
)

// schemaFolder has the schemas for all tests: they are made once, in a second.
var schemaFolder string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	var err error
	if schemaFolder, err = os.MkdirTemp("", "holdfast-schemas-"); err == nil {
		defer os.RemoveAll(schemaFolder) //nolint:errcheck // a temporary folder
		err = schemas.Write(context.Background(), schemaFolder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

var update = flag.Bool("update", false, "write the golden files, and the manifests of deploy/kubernetes")

const (
	chart     = "../../deploy/helm/holdfast"
	manifests = "../../deploy/kubernetes/holdfast.yaml"
	alerts    = "../../deploy/observe/rules.yml"
)

// values are the files of testdata/values, by name.
func values(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values: %v", err)
	}
	all := map[string]string{}
	for _, file := range files {
		all[strings.TrimSuffix(filepath.Base(file), ".yaml")] = file
	}
	return all
}

func TestLint(t *testing.T) {
	for name, file := range values(t) {
		if _, err := helm(t, "lint", "--strict", "--quiet", "--kube-version", "v1.34.4", chart, "-f", file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The chart has a copy of the alert rules, for a chart is packed without what lies beside it; its PrometheusRule has them all. Before TestRender, which shows them.
func TestAlerts(t *testing.T) {
	rules, err := os.ReadFile(alerts)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, chart+"/files/alerts.yaml", "# Made from deploy/observe/rules.yml by make manifests.\n"+string(rules))
	var want map[string]any
	if err := yaml.Unmarshal(rules, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want["groups"], find(t, render(t, "--set", "prometheusRule.enabled=true"), "PrometheusRule")["spec"].(map[string]any)["groups"]); diff != "" {
		t.Errorf("the rules in Kubernetes are others:\n%s", diff)
	}
}

// What is scraped is where the configuration has metrics, and the job's name is one that the alert rules take, whatever the release is called.
func TestMetricsAreScraped(t *testing.T) {
	for _, c := range []struct{ set, kind, endpoints, port, path string }{
		{"fullnameOverride=registry", "ServiceMonitor", "endpoints", "http", "/metrics"},
		{"config.extensions.metrics.prometheus.path=/numbers", "ServiceMonitor", "endpoints", "http", "/numbers"},
		{"config.http.adminAddress=0.0.0.0:9091", "PodMonitor", "podMetricsEndpoints", "admin", "/metrics"},
		{"config.http.adminAddress=[::]:9091,config.extensions.metrics=null", "PodMonitor", "podMetricsEndpoints", "admin", "/metrics"},
		{"config.http.adminAddress=:9091,config.extensions.metrics.enable=false", "PodMonitor", "podMetricsEndpoints", "admin", "/metrics"},
	} {
		text := render(t, "--set", "serviceMonitor.enabled=true", "--set", c.set)
		endpoint := find(t, text, c.kind)["spec"].(map[string]any)[c.endpoints].([]any)[0].(map[string]any)
		if endpoint["port"] != c.port || endpoint["path"] != c.path || !strings.Contains(fmt.Sprint(endpoint["relabelings"]), "holdfast/") {
			t.Errorf("%s: %v", c.set, endpoint)
		}
		if c.port == "admin" && !strings.Contains(text, "containerPort: 9091\n") {
			t.Errorf("%s: the pod does not show the port", c.set)
		}
		accept(t, text)
	}
}

func TestRender(t *testing.T) {
	for name, file := range values(t) {
		t.Run(name, func(t *testing.T) { golden(t, "testdata/golden/"+name+".yaml", render(t, "-f", file)) })
	}
}

// The manifests for those without Helm are what the chart makes of its own values and a Secret's name.
func TestManifests(t *testing.T) {
	const header = "# Made from deploy/helm/holdfast by make manifests; docs/kubernetes.md says what to change.\n"
	text := render(t, "--skip-tests", "--set", "s3.existingSecret=holdfast-s3")
	var b strings.Builder
	b.WriteString(header)
	for line := range strings.Lines(text) {
		if helms := strings.TrimSpace(line); !strings.HasPrefix(helms, "# Source:") && !strings.HasPrefix(helms, "helm.sh/") && helms != "app.kubernetes.io/managed-by: Helm" {
			b.WriteString(line)
		}
	}
	golden(t, manifests, b.String())
	accept(t, b.String())
}

// Kubernetes would accept all of it, and would not accept a field that it does not know.
func TestKubernetesAcceptsIt(t *testing.T) {
	for name, file := range values(t) {
		t.Run(name, func(t *testing.T) { accept(t, render(t, "-f", file)) })
	}
	for right, wrong := range map[string]string{
		"readinessProbe:":             "redinessProbe:",
		"replicas: 3":                 "replicas: three",
		"kind: PodDisruptionBudget":   "kind: PodDisruptionBudgets",
		"terminationGracePeriod":      "terminationGracePeriode",
		"  maxUnavailable: 1\n":       "  maxUnavailable: [1]\n",
		"readOnlyRootFilesystem: tru": "readOnlyRootFilesystem: maybe # ",
	} {
		text := render(t)
		spoiled := strings.Replace(text, right, wrong, 1)
		if spoiled == text {
			t.Errorf("the chart has no %q", right)
		}
		if out, err := kubeconform(t, spoiled); err == nil {
			t.Errorf("%q is accepted for %q: %s", wrong, right, out)
		}
	}
}

func TestHoldfastAcceptsTheConfiguration(t *testing.T) {
	binary, err := cluster.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range values(t) {
		config := find(t, render(t, "-f", file), "ConfigMap")["data"].(map[string]any)["config.json"].(string)
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), binary, "verify", "config", path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "is valid: 0 warnings") {
			t.Errorf("%s: holdfast verify: %v\n%s\n%s", name, err, out, config)
		}
	}
}

// The kubelet's patience is longer than the drain, whatever the values.
func TestGraceIsLongerThanTheDrain(t *testing.T) {
	for _, drain := range [][2]int{{0, 0}, {10, 120}, {86400, 86400}} {
		text := render(t, "--set", fmt.Sprintf("drain.delaySeconds=%d,drain.timeoutSeconds=%d", drain[0], drain[1]))
		spec := find(t, text, "Deployment")["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
		if got, least := spec["terminationGracePeriodSeconds"].(int), drain[0]+drain[1]+10; got < least {
			t.Errorf("with a drain of %v s the grace is %d s, want %d at least", drain, got, least)
		}
		config := find(t, text, "ConfigMap")["data"].(map[string]any)["config.json"].(string)
		if want := fmt.Sprintf(`"drainTimeout": "%ds"`, drain[1]); !strings.Contains(config, want) {
			t.Errorf("the configuration lacks %s: %s", want, config)
		}
	}
}

// Names have at most 63 letters where Kubernetes says so, however long the release's and the overrides are.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("a", 80)
	for _, set := range []string{"fullnameOverride=" + long, "nameOverride=" + long} {
		accept(t, render(t, "--set", set, "--set", "s3.accessKey=a,s3.secretKey=b"))
		for _, kind := range []string{"Service", "Deployment"} {
			meta := find(t, render(t, "--set", set), kind)["metadata"].(map[string]any)
			for _, name := range append([]any{meta["name"]}, meta["labels"].(map[string]any)["app.kubernetes.io/name"]) {
				if n := len(name.(string)); n > 63 {
					t.Errorf("%s: a name of %d letters: %s", kind, n, name)
				}
			}
		}
	}
}

// Kubernetes says 0 for a request that is not there, and with GOMEMLIMIT=0 the runtime would do nothing but collect. Under a limit the
// server goes by that, where it sees it.
func TestNoMemoryLimitWithoutARequest(t *testing.T) {
	for set, want := range map[string]bool{
		"replicas=3":                                    false,
		"resources.limits.memory=null":                  true,
		"resources.requests.memory=null":                false,
		"resources=null":                                false,
		"resources.requests=null,resources.limits=null": false,
	} {
		if got := strings.Contains(render(t, "--set", set), "GOMEMLIMIT"); got != want {
			t.Errorf("%s: GOMEMLIMIT is set: %t", set, got)
		}
	}
}

// Pods that know a file or a Secret only from their start are replaced when the chart changes it.
func TestChangesReplacePods(t *testing.T) {
	annotations := func(set string) string {
		spec := find(t, render(t, "--set", "s3.accessKey=a,s3.secretKey=b", "--set", set), "Deployment")["spec"].(map[string]any)
		return fmt.Sprint(spec["template"].(map[string]any)["metadata"].(map[string]any)["annotations"])
	}
	before := annotations("replicas=3")
	if annotations("replicas=4") != before {
		t.Error("a change of the number of pods replaces them")
	}
	for _, set := range []string{"config.log.level=debug", "s3.secretKey=c", "drain.timeoutSeconds=7"} {
		if annotations(set) == before {
			t.Errorf("%s does not replace the pods", set)
		}
	}
}

func TestWrongValuesAreRefused(t *testing.T) {
	for set, want := range map[string]string{
		"replica=3":               "replica",
		"replicas=-1":             "replicas",
		"image.digest=sha256:abc": "digest",
		"config.storage.storageDriver.name=local":                             "name",
		"config.storage.storageDriver.bucket=":                                "bucket",
		"config.storage.storageDriver.secretkey=word":                         "secretkey",
		"config.http.port=9090":                                               "port",
		"ingress.enabled=true":                                                "ingress.hosts is empty",
		"httpRoute.enabled=true":                                              "httpRoute.parentRefs is empty",
		"s3.accessKey=a":                                                      "s3.secretKey is needed",
		"drain.delaySeconds=10s":                                              "delaySeconds",
		"serviceMonitor.interval=often":                                       "interval",
		"serviceMonitor.enabled=true,config.extensions.metrics.enable=false":  "config.http.adminAddress",
		"serviceMonitor.enabled=true,config.http.adminAddress=127.0.0.1:9090": "config.http.adminAddress",
		"serviceMonitor.enabled=true,config.http.adminAddress=localhost:9090": "config.http.adminAddress",
		"config.http.adminAddress=9090":                                       "adminAddress",
		"fullnameOverride=Upper":                                              "fullnameOverride",
		"nameOverride=a_b":                                                    "nameOverride",
		"image.repository=registry.example.com:5000/holdfast:v1":              "repository",
		"service.nodePort=99999":                                              "nodePort",
		"s3=null":                                                             "s3",
		"test=null":                                                           "test",
		"autoscaling.enabled=true,autoscaling.minReplicas=5,autoscaling.maxReplicas=2": "minReplicas",
		"config.http.adminAddress=:8080":                                               "adminAddress",
	} {
		_, err := helm(t, "template", "holdfast", chart, "--kube-version", "v1.34.4", "--set", set)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a refusal that names %s", set, err, want)
		}
	}
}

func render(t *testing.T, args ...string) string {
	t.Helper()
	out, err := helm(t, append([]string{"template", "holdfast", chart, "--namespace", "registry", "--kube-version", "v1.34.4"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// accept checks rendered text with kubeconform. Of the Prometheus operator's kinds there is no schema that a module has.
func accept(t *testing.T, text string) {
	t.Helper()
	if out, err := kubeconform(t, text); err != nil {
		t.Errorf("kubeconform: %v\n%s", err, out)
	}
}

func kubeconform(t *testing.T, text string) (string, error) {
	t.Helper()
	bin, err := cluster.Tool("kubeconform")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, "-strict", "-summary", "-skip", "ServiceMonitor,PodMonitor,PrometheusRule", "-schema-location", schemas.Location(schemaFolder))
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// find returns the first object of a kind.
func find(t *testing.T, text, kind string) map[string]any {
	t.Helper()
	for dec := yaml.NewDecoder(strings.NewReader(text)); ; {
		var o map[string]any
		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) {
			t.Fatalf("there is no %s", kind)
		}
		if err != nil {
			t.Fatal(err)
		}
		if o["kind"] == kind {
			return o
		}
	}
}

// golden compares with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what the chart makes (make manifests writes it anew):\n%s", file, diff)
	}
}

// helm runs helm with a home of its own.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	bin, err := cluster.Tool("helm")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("helm %s: %w: %s%s", strings.Join(args, " "), err, errs.String(), out.String())
	}
	return out.String(), nil
}
