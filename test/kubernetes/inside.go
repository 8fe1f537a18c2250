package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"holdfast/test/cluster"
	"holdfast/test/drills/check"
	"holdfast/test/drills/load"
)

const (
	chart     = "deploy/helm/holdfast"
	manifests = "deploy/kubernetes/holdfast.yaml"
)

// runInside is the whole run. Nothing is cleaned up here: the namespaces end with us.
func runInside(ctx context.Context, opt options) error {
	s := &site{options: opt, dir: opt.Dir}
	if err := os.MkdirAll(s.path("log"), 0o750); err != nil {
		return fmt.Errorf("kubernetes: make folder: %w", err)
	}
	if err := isolate(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.network, s.registry, s.store, s.controlPlane, s.node, s.install} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, s.tails())
		}
	}
	if err := s.underLoad(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, s.podLogs(ctx))
	}
	return nil
}

// install does what docs/kubernetes.md tells an operator to do.
func (s *site) install(ctx context.Context) error {
	const namespace = `apiVersion: v1
kind: Namespace
metadata: {name: registry, labels: {pod-security.kubernetes.io/enforce: restricted}}
`
	if err := s.write("namespace.yaml", namespace); err != nil {
		return err
	}
	if _, err := s.kubectl(ctx, "apply", "-f", s.path("namespace.yaml")); err != nil {
		return err
	}
	// The manifests for those without Helm: the API server has the last word on them.
	if _, err := s.kubectl(ctx, "apply", "--dry-run=server", "-f", manifests); err != nil {
		return err
	}
	if _, err := s.kubectl(ctx, "create", "secret", "generic", "bucket-keys", "--from-literal=accesskey=first", "--from-literal=secretkey=firsts-secret"); err != nil {
		return err
	}
	values := fmt.Sprintf(`
image: {repository: %q, tag: %q}
config:
  storage:
    storageDriver: {bucket: %q, region: %q, regionendpoint: %q, forcepathstyle: true, secure: false}
s3: {existingSecret: bucket-keys}
test: {image: %q}
`, outside+"/holdfast", before, bucket, cluster.Region, s3Address, outside+"/tools/wget:1")
	if err := s.write("values.yaml", values); err != nil {
		return err
	}
	begun := time.Now()
	if err := s.helm(ctx, "install", "holdfast", chart, "-f", s.path("values.yaml"), "--wait", "--timeout", "4m"); err != nil {
		pods, _ := s.kubectl(ctx, "describe", "pods")
		return fmt.Errorf("%w\n%s", err, pods)
	}
	say("the chart is installed, three replicas are ready after %s", time.Since(begun).Round(100*time.Millisecond))
	address, err := s.kubectl(ctx, "get", "service", "holdfast", "-o", "jsonpath={.spec.clusterIP}")
	if err != nil {
		return err
	}
	s.url = "http://" + address
	// There is no DNS in this cluster.
	if err := s.helm(ctx, "upgrade", "holdfast", chart, "-f", s.path("values.yaml"), "--set", "test.url="+s.url, "--wait"); err != nil {
		return err
	}
	if err := s.helm(ctx, "test", "holdfast", "--timeout", "1m"); err != nil {
		said, _ := s.kubectl(ctx, "logs", "holdfast-test")
		state, _ := s.kubectl(ctx, "get", "pod", "holdfast-test", "-o", "jsonpath={.status.containerStatuses}")
		return fmt.Errorf("%w\n%s\n%s", err, said, state)
	}
	say("helm test has passed")
	return nil
}

func (s *site) helm(ctx context.Context, args ...string) error {
	bin, err := cluster.Tool("helm")
	if err != nil {
		return err
	}
	_, err = command(ctx, bin, append([]string{"--kubeconfig", s.path("admin.kubeconfig"), "--namespace", "registry"}, args...)...)
	return err
}

// underLoad lets clients work at the Service while the pods change.
func (s *site) underLoad(ctx context.Context) error {
	opt := load.Options{Seed: s.Seed, Clients: s.Clients, Target: func(*rand.Rand) string { return s.url }}
	say("%d clients, seed %d", s.Clients, s.Seed)
	l := load.Run(ctx, opt)
	defer l.Stop()
	for _, p := range []struct {
		name   string
		breaks bool // what is in flight at a pod may break off
		do     func(context.Context) error
	}{
		{"nothing, for comparison", false, func(ctx context.Context) error { return sleep(ctx, 10*time.Second) }},
		{"rolling update to another version, a push of 256 MiB meanwhile", false, func(ctx context.Context) error { return s.updateAndPush(ctx, l, opt) }},
		{"a replica is killed (SIGKILL)", true, s.killProcess},
		{"a pod is deleted by force (no grace)", true, s.killPod},
		{"scale from 3 to 1", false, func(ctx context.Context) error { return s.scale(ctx, 1) }},
		{"scale from 1 to 5", false, func(ctx context.Context) error { return s.scale(ctx, 5) }},
		{"scale from 5 to 2", false, func(ctx context.Context) error { return s.scale(ctx, 2) }},
		{"the Secret's S3 keys are rotated, the old ones revoked", false, s.rotate},
	} {
		if err := s.perform(ctx, l, p.name, p.breaks, p.do); err != nil {
			return err
		}
	}
	l.Stop()
	return s.judge(ctx, l, opt)
}

// updateAndPush moves the Deployment to the other image, and waits until the old pods are gone and the push has ended.
func (s *site) updateAndPush(ctx context.Context, l *load.Load, opt load.Options) error {
	pushed := make(chan bool, 1)
	go func() {
		_, ok := load.PushLarge(ctx, l, opt, s.Clients+1, 256<<20)
		pushed <- ok
	}()
	if err := s.helm(ctx, "upgrade", "holdfast", chart, "-f", s.path("values.yaml"), "--set", "image.tag="+after, "--wait", "--timeout", "5m"); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	if !<-pushed {
		return errors.New("kubernetes: the push of a large blob did not come to its end")
	}
	said, err := s.kubectl(ctx, "exec", "deploy/holdfast", "--", "/usr/bin/holdfast", "version")
	if err == nil && said != "holdfast "+after {
		err = fmt.Errorf("kubernetes: after the update a pod says %q", said)
	}
	return err
}

// killProcess kills one replica's process. The kubelet starts it again.
func (s *site) killProcess(ctx context.Context) error {
	pids, err := replicas()
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return errors.New("kubernetes: there is no replica to kill")
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		return fmt.Errorf("kubernetes: kill replica: %w", err)
	}
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	return s.settled(ctx)
}

// replicas are the process ids of Holdfast in pods.
func replicas() (pids []int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(text), "/usr/bin/holdfast\x00serve\x00/etc/holdfast/") { // it may have ended meanwhile
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err != nil {
			return nil, fmt.Errorf("kubernetes: %s: %w", file, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// killPod deletes a pod with all that is in it, at once. The Deployment makes another.
func (s *site) killPod(ctx context.Context) error {
	pods, err := s.pods(ctx, "{.items[*].metadata.name}")
	if err != nil {
		return err
	}
	if _, err := s.kubectl(ctx, "delete", "pod", pods[0], "--grace-period=0", "--force"); err != nil {
		return err
	}
	return s.settled(ctx)
}

func (s *site) scale(ctx context.Context, n int) error {
	if _, err := s.kubectl(ctx, "scale", "deployment/holdfast", fmt.Sprintf("--replicas=%d", n)); err != nil {
		return err
	}
	return s.settled(ctx)
}

// rotate gives the pods other keys, as docs/kubernetes.md says, and takes the old ones away from the store.
func (s *site) rotate(ctx context.Context) error {
	if err := s.account(ctx, "create-user", "--access", "second", "--secret", "seconds-secret", "--role", "admin"); err != nil {
		return err
	}
	if _, err := s.kubectl(ctx, "patch", "secret", "bucket-keys", "-p", `{"stringData":{"accesskey":"second","secretkey":"seconds-secret"}}`); err != nil {
		return err
	}
	if _, err := s.kubectl(ctx, "rollout", "restart", "deployment/holdfast"); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	if err := s.account(ctx, "delete-user", "--access", "first"); err != nil {
		return err
	}
	if _, err := s3Client("first", "firsts-secret").HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String(bucket)}); err == nil {
		return errors.New("kubernetes: the store still takes the old keys")
	}
	return nil
}

// settled waits until the Deployment is what it should be, and the pods that it does not want are gone.
func (s *site) settled(ctx context.Context) error {
	if _, err := s.kubectl(ctx, "rollout", "status", "deployment/holdfast", "--timeout=4m"); err != nil {
		return err
	}
	return until(ctx, "the pods are as wanted", 4*time.Minute, func(ctx context.Context) error {
		want, err := s.kubectl(ctx, "get", "deployment/holdfast", "-o", "jsonpath={.spec.replicas}")
		if err != nil {
			return err
		}
		pods, err := s.pods(ctx, "{.items[*].metadata.name}")
		if err == nil && fmt.Sprint(len(pods)) != want {
			err = fmt.Errorf("kubernetes: there are %d pods, want %s", len(pods), want)
		}
		return err
	})
}

// pods returns what a JSONPath finds in the list of the release's pods.
func (s *site) pods(ctx context.Context, path string) ([]string, error) {
	out, err := s.kubectl(ctx, "get", "pods", "-l", "app.kubernetes.io/component=registry", "-o", "jsonpath="+path)
	return strings.Fields(out), err
}

// judge reads everything back at each pod, checks the history, and has fsck look at the bucket.
func (s *site) judge(ctx context.Context, l *load.Load, opt load.Options) error {
	addresses, err := s.pods(ctx, "{.items[*].status.podIP}")
	if err != nil {
		return err
	}
	for i := range addresses {
		addresses[i] = "http://" + addresses[i] + ":8080"
	}
	l.ReadBack(ctx, opt, addresses)
	verdict := check.History(l.History.Calls())
	fsck, err := s.kubectl(ctx, "exec", "deploy/holdfast", "--", "/usr/bin/holdfast", "fsck", "/etc/holdfast/config.json")
	if err != nil {
		return err
	}
	fmt.Print(s.table())
	text, err := json.MarshalIndent(verdict, "", "  ")
	if err != nil {
		return err
	}
	fmt.Printf("\n%s\n\nfsck: %s\n", text, fsck)
	work := l.Work()
	fmt.Printf("pushes of a blob or manifest: %d, gone on with after a request without an answer: %d, given up: %d\n", work.Flows, work.Resumed, work.GivenUp)
	if !verdict.Sound() || work.GivenUp > 0 {
		return errors.New("kubernetes: the history is not sound, or a client had to give up")
	}
	return s.verdict()
}

// podLogs are for a failure.
func (s *site) podLogs(ctx context.Context) string {
	ctx = context.WithoutCancel(ctx)
	pods, err := s.kubectl(ctx, "get", "pods", "-o", "wide")
	logs, logsErr := s.kubectl(ctx, "logs", "-l", "app.kubernetes.io/component=registry", "--tail=5", "--prefix")
	return fmt.Sprint(pods, "\n", logs, errors.Join(err, logsErr))
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
