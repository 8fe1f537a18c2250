package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/edge/certs/certstest"
)

// TestTLS: the commands of an operator work with a server that speaks TLS, and files that are not good are refused with exit code 78.
func TestTLS(t *testing.T) {
	ca := certstest.New(t, "ca")
	pair, dir := ca.Server(), t.TempDir()
	cert, key := certstest.Write(t, dir, "cert.pem", pair.Cert), certstest.Write(t, dir, "key.pem", pair.Key)
	authority := certstest.Write(t, dir, "ca.pem", ca.PEM())
	write := func(key string) string {
		text := fmt.Sprintf(`{"storage":{"rootDirectory":%q},"http":{"address":"127.0.0.1","port":"0","drainDelay":"0s","tls":{"cert":%q,"key":%q}}}`, filepath.Join(dir, "data"), cert, key)
		return certstest.Write(t, dir, "config.json", []byte(text))
	}
	file := write(key)
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := outcome(t, "verify", "--probe", file)
	wants(t, "verify", code, 0, stdout+stderr, "http.tls: warning: "+key+": the file has mode 0644")
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}

	m := newManager(t)
	cmd := command(t, self(t), "serve", file)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=400000")
	server := start(t, cmd)
	m.until(t, "READY=1")
	m.until(t, "WATCHDOG=1") // it has asked itself by TLS
	_, token, _ := outcome(t, "token", file)
	ask := func(more ...string) (int, string, string) {
		return outcome(t, append([]string{"status", "--url=https://" + server.address, "--token=" + strings.TrimSpace(token), "--json"}, more...)...)
	}
	code, stdout, stderr = ask("--cacert=" + authority)
	if code != 0 && code != exitFailure || !strings.Contains(stdout, `"replicas"`) {
		t.Errorf("status by TLS: %d %s%s", code, stdout, stderr)
	}
	code, _, stderr = ask()
	wants(t, "status without the authority", code, exitUnavailable, stderr, "certificate signed by unknown authority")
	code, _, stderr = ask("--cacert=" + key)
	wants(t, "status with a file that is no certificate", code, exitUsage, stderr, "--cacert", "no certificate in PEM")
	server.stop(t)

	file = write(certstest.Write(t, dir, "other.pem", ca.Server().Key))
	code, _, stderr = outcome(t, "serve", file)
	wants(t, "B75: a key of another certificate", code, exitConfig, stderr, cert+": is not the certificate of the key in ")
	code, _, stderr = outcome(t, "verify", "--probe", file)
	wants(t, "verify of it", code, exitConfig, stderr, cert+": is not the certificate of the key in ")
}
