package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// TestModules: every module of the program has a licence that is allowed. It is the check of CI.
func TestModules(t *testing.T) {
	t.Chdir("../..")
	var out bytes.Buffer
	if err := run(t.Context(), nil, &out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "go.etcd.io/bbolt") || !strings.Contains(text, "allowed") {
		t.Errorf("%s", text)
	}
}

func TestLicences(t *testing.T) {
	const (
		mit = "MIT License\n\nPermission is hereby granted, free of charge, to any person\nobtaining a copy of this software …\nThe above copyright notice and this permission notice shall be included in all copies or"
		bsd = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that the following conditions are met:\n * Redistributions in binary form must reproduce …"
		by  = "Neither the name of X may be used to endorse or promote products derived from\nthis software without specific prior written permission."
	)
	for _, row := range []struct{ text, want string }{
		{mit, "MIT"},
		{bsd, "BSD-2-Clause"},
		{bsd + by, "BSD-3-Clause"},
		{mit + "\n" + bsd + by, "MIT,BSD-3-Clause"},
		{bsd + by + "All advertising materials mentioning features or use of this software must", ""},
		{"All rights reserved.", ""},
		{mit + "\nGNU General Public License", "MIT,unknown (gnu general public license)"},
		{"", ""},
	} {
		if got := strings.Join(licenceOf(row.text), ","); got != row.want {
			t.Errorf("%.60q is %q, want %q", row.text, got, row.want)
		}
	}
	for name, text := range map[string]string{"LICENSE": "All rights reserved.", "README": mit, "COPYING.txt": ""} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if ids, err := licencesIn(dir); err == nil {
			t.Errorf("%s with %q is %v", name, text, ids)
		}
	}
	bad := []module{{path: "a", version: "v1", licences: []string{"MIT", "unknown (gnu affero)"}}, {path: "b", version: "v2", licences: []string{"Apache-2.0"}}}
	if err := check(bad); err == nil || !strings.Contains(err.Error(), "a@v1") || strings.Contains(err.Error(), "b@v2") {
		t.Errorf("%v", err)
	}
}

// TestBill: the bill of this test's own binary names what is in it, and is the same twice.
func TestBill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info := &debug.BuildInfo{GoVersion: "go1.2.3", Settings: []debug.BuildSetting{{Key: "GOARCH", Value: "amd64"}, {Key: "vcs.time", Value: "now"}}}
	modules := []module{{path: "example.com/a", version: "v1.2.3", sum: "h1:x=", licences: []string{"MIT"}}}
	one, err := billOf(self, "v9", info, modules)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"pkg:golang/example.com/a@v1.2.3"`, `"h1:x="`, `"MIT"`, `"pkg:golang/stdlib@1.2.3"`, `"holdfast:build:GOARCH"`, `"specVersion": "1.6"`} {
		if !strings.Contains(string(one), want) {
			t.Errorf("%s is not there:\n%s", want, one)
		}
	}
	if strings.Contains(string(one), "vcs.time") {
		t.Error("it says when it was made")
	}
	if two, err := billOf(self, "v9", info, modules); err != nil || !slices.Equal(one, two) {
		t.Errorf("another bill of the same binary: %v", err)
	}
	if err := run(t.Context(), []string{"-sbom", "x"}, os.Stdout); err == nil {
		t.Error("a bill of nothing")
	}
}
