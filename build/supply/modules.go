package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
)

// module is a module that is in the program.
type module struct {
	path, version, dir, sum string
	licences                []string
	err                     error // why they are not known
}

// listed are the modules of the packages that the program is built from, but for the program's own, with their licences.
func listed(ctx context.Context, tags string) ([]module, error) {
	out, err := goTool(ctx, "list", "-deps", "-tags", tags, "-json=Module", "./cmd/holdfast")
	if err != nil {
		return nil, err
	}
	found := map[string]module{}
	for decode := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Module *struct {
				Path, Version, Dir, Sum string
				Main                    bool
				Replace                 *struct{ Path, Version, Dir, Sum string }
			}
		}
		if err := decode.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("supply: read the list of packages: %w", err)
		}
		if p.Module == nil || p.Module.Main {
			continue
		}
		m := module{path: p.Module.Path, version: p.Module.Version, dir: p.Module.Dir, sum: p.Module.Sum}
		if r := p.Module.Replace; r != nil {
			m = module{path: r.Path, version: r.Version, dir: r.Dir, sum: r.Sum}
		}
		found[m.path] = m
	}
	modules := make([]module, 0, len(found))
	for _, m := range found {
		m.licences, m.err = licencesIn(m.dir)
		modules = append(modules, m)
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.path, b.path) })
	return modules, nil
}

// inBinary are those of modules that a binary says it was built from. Errors: it says another, or another version: then it is not of these sources.
func inBinary(file string, modules []module) (*debug.BuildInfo, []module, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("supply: read what the binary says of itself: %w", err)
	}
	var in []module
	var errs []error
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		i := slices.IndexFunc(modules, func(m module) bool { return m.path == dep.Path && m.version == dep.Version })
		if i < 0 {
			errs = append(errs, fmt.Errorf("supply: %s has %s@%s in it, which is not in these sources", file, dep.Path, dep.Version))
			continue
		}
		m := modules[i]
		m.sum = dep.Sum
		in = append(in, m)
	}
	return info, in, errors.Join(errs...)
}

func goTool(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("supply: go %s: %w: %s", args[0], err, stderr.Bytes())
	}
	return out, nil
}
