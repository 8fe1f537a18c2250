package config

import (
	"log/slog"
	"strings"
	"testing"
)

func TestObserveKeys(t *testing.T) {
	for _, row := range []struct{ text, problem, warning string }{
		{`http: {adminAddress: "127.0.0.1:9090"}`, "", ""},
		{`http: {adminAddress: "[::1]:9090"}`, "", ""},
		{`http: {adminAddress: "localhost:0"}`, "", ""},
		{`http: {adminAddress: ""}`, "", ""},
		{`http: {adminAddress: ":9090"}`, "", "password"},
		{`http: {adminAddress: "0.0.0.0:9090"}`, "", "password"},
		{`http: {adminAddress: "127.0.0.1"}`, "not an address with a port", ""},
		{`http: {adminAddress: 9090}`, "wrong type", ""},
		{`http: {adminAddress: "127.0.0.1:99999"}`, "out of range", ""},
		{`http: {adminAddress: "a b:1"}`, "not an address", ""},
		{`log: {requestLevel: debug}`, "", ""},
		{`log: {requestLevel: loud}`, "not a level", ""},
		{`extensions: {tracing: {endpoint: "http://collector:4318/v1/traces"}}`, "", ""},
		{`extensions: {tracing: {endpoint: "collector:4318"}}`, "URL of a collector", ""},
		{`extensions: {tracing: {endpoint: "http://me:canary@collector:4318/v1/traces"}}`, "URL of a collector", ""},
	} {
		_, report, err := load("a.yaml", []byte("storage: {rootDirectory: /x}\n"+row.text+"\n"), nil, nil)
		problems, warnings := "", ""
		if err != nil {
			problems = err.Error()
		}
		for _, w := range report.Warnings {
			if w.Path == "http.adminAddress" {
				warnings += w.Text
			}
		}
		if !strings.Contains(problems, row.problem) || row.problem == "" && err != nil {
			t.Errorf("%s: problem %q, want %q", row.text, problems, row.problem)
		}
		if (warnings != "") != (row.warning != "") || !strings.Contains(warnings, row.warning) {
			t.Errorf("%s: warning %q, want %q", row.text, warnings, row.warning)
		}
		if strings.Contains(problems, "canary") {
			t.Errorf("a password is shown: %s", problems)
		}
	}
	if level := Default().Log.Requests; level != slog.LevelInfo {
		t.Errorf("requests are logged at %s", level)
	}
}
