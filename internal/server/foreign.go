package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// foreignLayout names the registry whose data the keys (or paths) below a root are of, "" for none: zot
// keeps an OCI layout per repository, CNCF distribution everything below docker/registry/v2.
func foreignLayout(keys []string) string {
	for _, key := range keys {
		switch {
		case strings.HasPrefix(key, "docker/registry/v2/"):
			return "CNCF distribution"
		case strings.HasSuffix(key, "/oci-layout"), strings.HasSuffix(key, "/index.json"), strings.HasSuffix(key, "_restore_complete"):
			return "zot"
		}
	}
	return ""
}

func refuseForeign(where, whose string) error {
	return fmt.Errorf("%w: %s holds the data of %s: its images would not be visible here. "+
		"Choose another root directory, or set storage.ignoreForeign: true to start beside it", ErrRefused, where, whose)
}

// foreignFiles looks for another registry's data in a directory, two levels deep.
func foreignFiles(dir string) (string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil // nothing there, or nothing that we could read
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			if rel == ownDir || strings.Count(rel, "/") > 4 {
				return filepath.SkipDir
			}
			if rel == "docker/registry/v2" {
				found = append(found, rel+"/")
				return filepath.SkipAll
			}
			return nil
		}
		found = append(found, rel)
		if len(found) >= 1000 {
			return filepath.SkipAll
		}
		return nil
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("server: look into %s: %w", dir, err)
	}
	return foreignLayout(found), nil
}
