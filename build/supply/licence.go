package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// allowed are the licences, by their SPDX ids, that may be in the program: those that ask for no more than their text and notices.
func allowed() []string {
	return []string{"Apache-2.0", "MIT", "BSD-3-Clause", "BSD-2-Clause", "ISC", "MPL-2.0", "Unlicense"}
}

// sign is how a licence's text is known: it has all of one's phrases, in words and single spaces, and none of the others.
type sign struct {
	id        string
	all, none []string
}

func signs() []sign {
	const (
		mit      = "permission is hereby granted free of charge to any person obtaining a copy"
		redistri = "redistribution and use in source and binary forms with or without modification are permitted provided that the following conditions are met"
		endorse  = "may be used to endorse or promote products derived from this software without specific prior written permission"
		ads      = "all advertising materials mentioning features"
	)
	return []sign{
		{"Apache-2.0", []string{"apache license version 2 0 january 2004", "grant of patent license", "limitation of liability"}, nil},
		{"MIT", []string{mit, "the above copyright notice and this permission notice shall be included in all copies"}, []string{"except as contained in this notice"}},
		{"BSD-3-Clause", []string{redistri, endorse}, []string{ads}},
		{"BSD-2-Clause", []string{redistri, "redistributions in binary form must reproduce"}, []string{endorse, ads}},
		{"ISC", []string{"permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted provided that the above copyright notice"}, nil},
		{"Unlicense", []string{"this is free and unencumbered software released into the public domain"}, nil},
		{"MPL-2.0", []string{"mozilla public license version 2 0", "covered software"}, []string{"gnu general public license version 3 29 june"}},
	}
}

// licenceOf returns the SPDX ids of the licences that a text holds, in order: several where it holds several.
func licenceOf(text string) []string {
	words := strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(text, " "))
	has := func(phrase string) bool { return strings.Contains(words, phrase) }
	var ids []string
	for _, s := range signs() {
		if !slices.ContainsFunc(s.all, func(p string) bool { return !has(p) }) && !slices.ContainsFunc(s.none, has) {
			ids = append(ids, s.id)
		}
	}
	// A licence that is known by no sign, beside one that is: GPL and its kin, and those that forbid.
	for _, other := range []string{"gnu general public license", "gnu affero", "gnu lesser", "business source license", "server side public license", "commons clause", "noncommercial"} {
		if has(other) && !slices.Contains(ids, "MPL-2.0") { // which names the GNU licences as secondary ones
			ids = append(ids, "unknown ("+other+")")
		}
	}
	return ids
}

// files are the names of files that hold licences; LICENSE.docs is of what is not in a program.
var files = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([-._].*)?$`)

// licencesIn reads the licences of a module, from the files in its folder. Errors: there is none, or one that is not known.
func licencesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("supply: look for a licence: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() || strings.HasSuffix(e.Name(), ".docs") || !files.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("supply: read a licence: %w", err)
		}
		found := licenceOf(string(text))
		if len(found) == 0 {
			return nil, fmt.Errorf("supply: %s holds no licence that is known", filepath.Join(dir, e.Name()))
		}
		ids = append(ids, found...)
	}
	if slices.Sort(ids); len(ids) == 0 {
		return nil, errors.New("supply: the module has no file with a licence")
	}
	return slices.Compact(ids), nil
}

// check returns what is wrong with the licences of modules, all at once.
func check(modules []module) error {
	var errs []error
	for i := range modules {
		m := &modules[i]
		for _, id := range m.licences {
			if !slices.Contains(allowed(), id) {
				errs = append(errs, fmt.Errorf("supply: %s@%s: licence %s is not one of those that are allowed: %s", m.path, m.version, id, strings.Join(allowed(), ", ")))
			}
		}
		if m.err != nil {
			errs = append(errs, fmt.Errorf("%s@%s: %w", m.path, m.version, m.err))
		}
	}
	return errors.Join(errs...)
}
