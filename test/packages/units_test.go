//go:build linux

package packages

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/config"
	"holdfast/test/machine"
)

const systemd = "../../deploy/systemd/"

// TestUnits has systemd read the units, with every unknown or wrong line an error.
func TestUnits(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "holdfast")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var units []string
	for _, kind := range []string{".service", ".socket"} {
		text, err := os.ReadFile(systemd + "holdfast@" + kind)
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(dir, "holdfast@1"+kind)
		if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/bin/holdfast", program)), 0o600); err != nil {
			t.Fatal(err)
		}
		units = append(units, unit)
	}
	if out := machine.Run(t, time.Minute, "systemd-analyze", append([]string{"verify", "--man=no", "--recursive-errors=no"}, units...)...); strings.Contains(out, "holdfast") {
		t.Error(out)
	}
	users, err := filepath.Abs(systemd + "holdfast.sysusers")
	if err != nil {
		t.Fatal(err)
	}
	machine.Run(t, time.Minute, "systemd-sysusers", "--dry-run", users)
	out := machine.Run(t, time.Minute, "systemd-analyze", "security", "--no-pager", "--offline=true", units[0])
	found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatal(out)
	}
	if level, err := strconv.ParseFloat(found[1], 64); err != nil || level >= 2 {
		t.Errorf("exposure %s, %v:\n%s", found[1], err, out)
	}
}

// The example is a valid configuration as systemd would run it, and as a person checks it by hand.
func TestExample(t *testing.T) {
	for _, env := range []map[string]string{{}, {"HOLDFAST_PORT": "8081", "STATE_DIRECTORY": "/var/lib/holdfast/1"}} {
		_, report, err := config.Load(systemd+"config.yaml", func(name string) (string, bool) { value, set := env[name]; return value, set })
		if err != nil || len(report.Warnings) > 0 {
			t.Errorf("%v, %v", err, report.Warnings)
		}
	}
}

// keepalived -t says what is wrong and ends with 5. Of 2.2.7 what is right ends with a SIGTERM that it sends to itself.
func TestKeepalived(t *testing.T) {
	check := func(path string) (string, bool) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "keepalived", "-t", "-f", path)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode() <= 0 && !strings.Contains(string(out), "Line ")
	}
	path := "../../deploy/haproxy/keepalived.conf"
	if out, ok := check(path); !ok {
		t.Error(out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "keepalived.conf")
	if err := os.WriteFile(broken, append(text, "vrrp_instance other {\n\tno_such_word 1\n}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := check(broken); ok {
		t.Error("a file with a mistake passes")
	}
}
