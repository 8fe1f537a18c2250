package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/test/cluster"
)

// Addresses inside the network namespace: of the node, of pods and of Services.
const (
	nodeAddress = "10.213.1.1"
	podRange    = "10.213.0.0/24"
	services    = "10.213.96.0/24"
	apiAddress  = "https://127.0.0.1:6443"
	etcdAddress = "http://127.0.0.1:2379"
	outside     = "127.0.0.1:5000" // the registry that the kubelet pulls from
	nodeName    = "node"
)

// site is what runs inside.
type site struct {
	options
	dir        string
	adminToken string
	nodeToken  string
	url        string // of the Service
	phases     []phase
}

// kube returns the path of one of Kubernetes' programs.
func kube(name string) (string, error) { return cluster.Tool(filepath.Join("kubernetes", name)) }

// network makes the node's own interfaces.
func (s *site) network(ctx context.Context) error {
	for _, line := range []string{
		"ip link set lo up",
		"ip link add node0 type bridge",
		"ip addr add " + nodeAddress + "/24 dev node0",
		"ip link set node0 up",
		"ip route add default dev node0", // Services are routed before their addresses are translated
	} {
		fields := strings.Fields(line)
		if _, err := command(ctx, fields[0], fields[1:]...); err != nil {
			return err
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600); err != nil {
		return fmt.Errorf("kubernetes: switch forwarding on: %w", err)
	}
	return nil
}

// controlPlane starts etcd, the API server, the controllers and the scheduler.
func (s *site) controlPlane(ctx context.Context) error {
	if err := s.writeIdentities(); err != nil {
		return err
	}
	admin := s.path("admin.kubeconfig")
	trust := []string{"--kubeconfig=" + admin, "--authentication-kubeconfig=" + admin, "--authorization-kubeconfig=" + admin, "--bind-address=127.0.0.1", "--leader-elect=false"}
	if err := s.start(ctx, "etcd", "etcd", "--data-dir", s.path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", etcdAddress, "--advertise-client-urls", etcdAddress, "--listen-peer-urls", "http://127.0.0.1:2380"); err != nil {
		return err
	}
	for _, d := range []struct {
		name string
		args []string
	}{
		{"kube-apiserver", []string{
			"--etcd-servers=" + etcdAddress, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=6443", "--cert-dir=" + s.path("apiserver"),
			"--token-auth-file=" + s.path("tokens.csv"), "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + s.path("sa.pub"), "--service-account-signing-key-file=" + s.path("sa.key"),
			"--service-cluster-ip-range=" + services, "--endpoint-reconciler-type=none", "--kubelet-preferred-address-types=InternalIP",
		}},
		{"kube-controller-manager", append(trust, "--service-account-private-key-file="+s.path("sa.key"), "--cluster-cidr="+podRange)},
		{"kube-scheduler", trust},
	} {
		bin, err := kube(d.name)
		if err != nil {
			return err
		}
		if err := s.start(ctx, d.name, bin, d.args...); err != nil {
			return err
		}
		if d.name == "kube-apiserver" {
			if err := until(ctx, "the API server is ready", 3*time.Minute, answers(apiAddress+"/readyz", s.adminToken)); err != nil {
				return err
			}
		}
	}
	return nil
}

// node starts containerd, the kubelet and kube-proxy, and waits until the node is ready.
func (s *site) node(ctx context.Context) error {
	if err := s.writeNodeFiles(); err != nil {
		return err
	}
	if err := s.start(ctx, "containerd", "containerd", "-c", s.path("containerd.toml")); err != nil {
		return err
	}
	if err := until(ctx, "containerd answers", time.Minute, func(ctx context.Context) error {
		_, err := command(ctx, "ctr", "-a", s.path("containerd.sock"), "version")
		return err
	}); err != nil {
		return err
	}
	kubelet, err := kube("kubelet")
	if err != nil {
		return err
	}
	if err := s.start(ctx, "kubelet", kubelet, "--config="+s.path("kubelet.yaml"), "--kubeconfig="+s.path("node.kubeconfig"),
		"--hostname-override="+nodeName, "--node-ip="+nodeAddress, "--root-dir="+s.path("kubelet"), "--cert-dir="+s.path("kubelet-pki")); err != nil {
		return err
	}
	proxy, err := kube("kube-proxy")
	if err != nil {
		return err
	}
	// The namespace may not set the machine's limits of connection tracking.
	if err := s.start(ctx, "kube-proxy", proxy, "--kubeconfig="+s.path("admin.kubeconfig"), "--hostname-override="+nodeName, "--proxy-mode=iptables",
		"--bind-address=127.0.0.1", "--cluster-cidr="+podRange, "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"); err != nil {
		return err
	}
	return until(ctx, "the node is ready", 2*time.Minute, func(ctx context.Context) error {
		_, err := s.kubectl(ctx, "wait", "--for=condition=Ready", "node/"+nodeName, "--timeout=2s")
		return err
	})
}

// writeIdentities writes the tokens of an administrator and of the node, and the key that service accounts are signed with.
func (s *site) writeIdentities() error {
	s.adminToken, s.nodeToken = rand.Text(), rand.Text()
	tokens := fmt.Sprintf("%s,admin,admin,system:masters\n%s,system:node:%s,node,system:nodes\n", s.adminToken, s.nodeToken, nodeName)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("kubernetes: make key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("kubernetes: make key: %w", err)
	}
	return errors.Join(
		s.write("tokens.csv", tokens),
		s.write("sa.key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))),
		s.write("sa.pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))),
		s.write("admin.kubeconfig", kubeconfig(s.adminToken)),
		s.write("node.kubeconfig", kubeconfig(s.nodeToken)),
	)
}

func kubeconfig(token string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: me, user: {token: %q}}]
contexts: [{name: here, context: {cluster: here, user: me}}]
current-context: here
`, apiAddress, token)
}

// writeNodeFiles configures the node for a machine with cgroup v1, no swap limit, and no right to lower an OOM score.
func (s *site) writeNodeFiles() error {
	return errors.Join(
		s.write("cni/10-pods.conflist", fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "pods", "plugins": [
	{"type": "bridge", "bridge": "pods0", "isGateway": true, "hairpinMode": true,
		"ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}},
	{"type": "portmap", "capabilities": {"portMappings": true}}
]}`, podRange)),
		s.write("certs.d/"+outside+"/hosts.toml", fmt.Sprintf("server = %[1]q\n[host.%[1]q]\n  capabilities = [\"pull\", \"resolve\"]\n", "http://"+outside)),
		s.write("containerd.toml", fmt.Sprintf(`version = 2
root = %q
state = %q
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = %q
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`, s.path("containerd"), s.path("containerd-state"), s.path("containerd.sock"), outside+"/tools/pause:1", s.path("certs.d"), s.path("cni"))),
		s.write("kubelet.yaml", fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
enforceNodeAllocatable: []
failSwapOn: false
failCgroupV1: false
oomScoreAdj: 0
containerRuntimeEndpoint: unix://%s
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%}
resolvConf: ""
podLogsDir: %s
volumePluginDir: %s
`, nodeAddress, s.path("containerd.sock"), s.path("pod-logs"), s.path("plugins"))),
	)
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, text string) error {
	err := os.MkdirAll(filepath.Dir(s.path(name)), 0o750)
	if err == nil {
		err = os.WriteFile(s.path(name), []byte(text), 0o600)
	}
	if err != nil {
		return fmt.Errorf("kubernetes: write %s: %w", name, err)
	}
	return nil
}

func (s *site) kubectl(ctx context.Context, args ...string) (string, error) {
	bin, err := kube("kubectl")
	if err != nil {
		return "", err
	}
	return command(ctx, bin, append([]string{"--kubeconfig=" + s.path("admin.kubeconfig"), "--namespace=registry"}, args...)...)
}
