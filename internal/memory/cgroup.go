package memory

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// noLimit is from where on a limit of version 1 means none: it says so by the largest multiple of a page.
const noLimit = 1 << 62

// Limit returns the smallest limit of memory, in bytes, of the control groups that the process is in: its
// own and those around it, of version 2 and of version 1. 0: there is none, or none that can be
// seen. root is the file system's root, "/proc" and "/sys" in it. Errors: files that cannot be read or
// are not what the kernel writes, beside the limit that the others say; one that is not there is no error.
func Limit(root fs.FS) (int64, error) {
	groups, err := lines(root, "proc/self/cgroup")
	if err != nil {
		return 0, err
	}
	mounts, err := lines(root, "proc/self/mountinfo")
	if err != nil {
		return 0, err
	}
	least := int64(0)
	var errs []error
	for _, m := range mounts {
		mount, file, ok := parseMount(m)
		if !ok {
			continue
		}
		own, ok := groupOf(groups, file)
		if !ok {
			continue
		}
		limit, err := leastAbove(root, mount, own, file)
		errs = append(errs, err)
		if limit > 0 && (least == 0 || limit < least) {
			least = limit
		}
	}
	return least, errors.Join(errs...)
}

// The files of a limit, by the version of control groups.
const (
	fileV2 = "memory.max"
	fileV1 = "memory.limit_in_bytes"
)

// mounted is where a hierarchy of control groups can be seen: the group root at the directory at.
type mounted struct {
	root, at string
}

// parseMount reads a line of mountinfo: "36 35 0:30 /root /at options - type source options" (proc(5)). ok is false when it is not
// of control groups with memory.
func parseMount(line string) (m mounted, file string, ok bool) {
	before, after, ok := strings.Cut(line, " - ")
	if !ok {
		return m, "", false
	}
	left, right := strings.Fields(before), strings.Fields(after)
	if len(left) < 5 || len(right) < 3 {
		return m, "", false
	}
	m = mounted{root: unescape(left[3]), at: unescape(left[4])}
	switch {
	case right[0] == "cgroup2":
		return m, fileV2, true
	case right[0] == "cgroup" && hasWord(right[2], "memory"):
		return m, fileV1, true
	}
	return m, "", false
}

// groupOf finds the process's group in lines of /proc/self/cgroup: "id:controllers:path", "0::path" of version 2 (cgroups(7)).
func groupOf(groups []string, file string) (string, bool) {
	for _, line := range groups {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) != 3 {
			continue
		}
		if file == fileV2 && fields[0] == "0" && fields[1] == "" || file == fileV1 && hasWord(fields[1], "memory") {
			return fields[2], true
		}
	}
	return "", false
}

// leastAbove is the smallest limit from the group own up to where the hierarchy is mounted. A group that is not below what is mounted,
// as a container sees its own with the machine's names, is taken for the mounted one.
func leastAbove(root fs.FS, m mounted, own, file string) (int64, error) {
	at := strings.TrimPrefix(path.Clean(m.at), "/")
	dir := at
	if rest, ok := strings.CutPrefix(path.Clean(own)+"/", strings.TrimSuffix(path.Clean(m.root), "/")+"/"); ok {
		dir = path.Join(at, rest)
	}
	least := int64(0)
	var errs []error
	for {
		limit, err := readLimit(root, path.Join(dir, file))
		errs = append(errs, err)
		if limit > 0 && (least == 0 || limit < least) {
			least = limit
		}
		if dir == at || len(dir) <= len(at) {
			return least, errors.Join(errs...)
		}
		dir = path.Dir(dir)
	}
}

// readLimit returns 0 for no limit.
func readLimit(root fs.FS, name string) (int64, error) {
	text, err := fs.ReadFile(root, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("memory: read /%s: %w", name, err)
	}
	word := strings.TrimSpace(string(text))
	if word == "max" {
		return 0, nil
	}
	limit, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("memory: parse /%s: %w", name, err)
	}
	if limit < 0 || limit >= noLimit {
		return 0, nil
	}
	return limit, nil
}

// lines returns none when the file is not there.
func lines(root fs.FS, name string) ([]string, error) {
	text, err := fs.ReadFile(root, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("memory: read /%s: %w", name, err)
	}
	return strings.Split(string(text), "\n"), nil
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// unescape reads a path of mountinfo, where a space is \040.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
