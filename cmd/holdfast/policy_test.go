package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const anonymousRules = `
storage: {rootDirectory: /d}
http:
  accessControl:
    repositories:
      "**": {anonymousPolicy: [read]}
      "rel/**": {anonymousPolicy: [read, create, update], immutableTags: [{patterns: ["v*"]}]}
`

func TestPolicyExplain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(anonymousRules), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"--anonymous --action read --repository a", 0, `allowed: by anonymousPolicy of "**"`},
		{"--anonymous --action create --repository a", 1, `denied: nothing of "**" allows it`},
		{"--user alice --group ops --action read --repository a", 1, "denied: nothing"},
		{"--anonymous --action update --repository rel/a --tag latest", 0, `allowed: by anonymousPolicy of "rel/**"`},
		{"--anonymous --action update --repository rel/a --tag v1", 1, `denied: the tag is immutable by "v*", whoever asks`},
		{"--anonymous --action create --repository rel/a --tag v1", 0, "allowed"},
		{"--anonymous --action wrte --repository a", 2, `not "wrte"`},
		{"--action read --repository a", 2, "who?"},
		{"--anonymous --user a --action read --repository a", 2, "who?"},
		{"--anonymous --action read --repository A", 2, "--repository: NAME_INVALID"},
	} {
		out, err := command(t, self(t), append([]string{"policy", "explain", "--config", file}, strings.Fields(tt.args)...)...).CombinedOutput()
		code := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != tt.code || !strings.Contains(string(out), tt.says) {
			t.Errorf("%s: %d %s, want %d %s", tt.args, code, out, tt.code, tt.says)
		}
	}
}
