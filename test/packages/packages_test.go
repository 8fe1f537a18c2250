//go:build linux

package packages

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"holdfast/test/machine"
)

// build makes packages of this machine's architecture, and returns deb and rpm.
func build(t *testing.T, dir string) (deb, rpm string) {
	t.Helper()
	machine.Run(t, 5*time.Minute, "nice", "-n", "5", "../../scripts/packages.sh", dir, runtime.GOARCH)
	find := func(pattern string) string {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		return found[0]
	}
	return find("*.deb"), find("*.rpm")
}

// what the packages may leave when they are removed: configuration and data.
const leftovers = `find /etc/holdfast /var/lib/holdfast /usr /etc/systemd -name '*holdfast*' -newer /before 2>/dev/null || true`

func TestPackages(t *testing.T) {
	if !machine.Inside(t) {
		return
	}
	dir := t.TempDir()
	deb, rpm := build(t, filepath.Join(dir, "one"))
	again, rpmAgain := build(t, filepath.Join(dir, "two"))
	for _, pair := range [][2]string{{deb, again}, {rpm, rpmAgain}} {
		one, err := os.ReadFile(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(pair[1])
		if err != nil {
			t.Fatal(err)
		}
		if string(one) != string(two) {
			t.Errorf("%s is another one when it is built again", filepath.Base(pair[0]))
		}
	}
	for _, kind := range []struct {
		name, file, install, remove, purge string
	}{
		{"deb", deb, "dpkg -i /package", "dpkg -r holdfast", "dpkg -P holdfast"},
		{"rpm", rpm, "rpm --initdb; rpm -i --nodeps /package", "rpm -e holdfast", "true"},
	} {
		t.Run(kind.name, func(t *testing.T) {
			root := machine.Root(t, t.TempDir())
			content, err := os.ReadFile(kind.file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, "package"), content, 0o600); err != nil {
				t.Fatal(err)
			}
			do := func(script string) string { t.Helper(); return machine.Chroot(t, root, script) }
			do("mount -t proc proc /proc; touch /before; sleep 0.01; " + kind.install)
			got := do(`id -un holdfast; stat -c '%a %U %n' /usr/bin/holdfast /etc/holdfast/config.yaml /etc/holdfast/credentials; holdfast version;
				ls /usr/share/man/man1/holdfast-backup.1.gz /usr/share/bash-completion/completions/holdfast /usr/share/zsh/vendor-completions/_holdfast /usr/share/fish/vendor_completions.d/holdfast.fish`)
			for _, want := range []string{"holdfast\n", "755 root /usr/bin/holdfast", "644 root /etc/holdfast/config.yaml", "700 root /etc/holdfast/credentials"} {
				if !strings.Contains(got, want) {
					t.Errorf("after the installation it does not say %q:\n%s", want, got)
				}
			}
			do("install -d -o holdfast -g holdfast -m 700 /var/lib/holdfast /var/lib/holdfast/1")
			do(`export STATE_DIRECTORY=/var/lib/holdfast/1 HOLDFAST_PORT=8081
				setpriv --reuid=holdfast --regid=holdfast --clear-groups holdfast serve /etc/holdfast/config.yaml >/tmp/log & pid=$!
				curl -fsS --retry 20 --retry-delay 1 --retry-all-errors -o /dev/null http://127.0.0.1:8081/readyz
				echo '# changed' >>/etc/holdfast/config.yaml
				kill -INT $pid; sleep 0.2; kill -INT $pid; wait $pid || true`)
			do("systemctl enable holdfast@1 holdfast@2 holdfast@3.socket")
			do(kind.remove)
			if left := do("find /etc/systemd -name 'holdfast@*'"); strings.TrimSpace(left) != "" {
				t.Errorf("removed, and still enabled:\n%s", left)
			}
			if left := do(`ls /usr/bin/holdfast /usr/lib/systemd/system/holdfast@.service 2>/dev/null || true; ` + leftovers); strings.Contains(left, "/usr/") {
				t.Errorf("removed, and left:\n%s", left)
			}
			do(`cat /etc/holdfast/config.yaml* | grep -q '# changed'; test -e /var/lib/holdfast/1/holdfast; id holdfast`)
			do(kind.purge)
			do(`test -e /var/lib/holdfast/1/holdfast; umount /proc`)
		})
	}
}
