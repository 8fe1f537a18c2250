package memory_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"holdfast/internal/memory"
)

const (
	mountV2     = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountV1     = "34 23 0:30 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
	mountHybrid = "40 23 0:36 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
	mountCPU    = "35 23 0:31 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
)

// The files are those of the kernel: cgroups(7), the kernel's cgroup-v1/memory.rst and cgroup-v2.rst.
func TestLimit(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no control groups": {nil, 0},
		"version 2, a container's own namespace": {map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/memory.max": "536870912\n",
		}, 512 << 20},
		"version 2, none": {map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/a/memory.max": "max\n",
		}, 0},
		"systemd: the slice around the service is smaller": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/holdfast.service\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/system.slice/holdfast.service/memory.max": "1073741824\n",
			"sys/fs/cgroup/system.slice/memory.max":                  "268435456\n",
		}, 256 << 20},
		"systemd: MemoryMax= of the service": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/holdfast.service\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/system.slice/holdfast.service/memory.max": "1073741824\n",
			"sys/fs/cgroup/system.slice/memory.max":                  "max\n",
		}, 1 << 30},
		"version 1, beside version 2 without a controller": {map[string]string{
			"proc/self/cgroup":    "4:memory:/docker/ab\n1:cpu,cpuacct:/docker/ab\n0::/\n",
			"proc/self/mountinfo": mountCPU + mountV1 + mountHybrid,
			"sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes": "314572800\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":           "9223372036854771712\n",
		}, 300 << 20},
		"version 1, none": {map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "proc/self/mountinfo": mountV1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0},
		"version 1, a container that sees the machine's names": {map[string]string{
			"proc/self/cgroup": "4:memory:/docker/ab\n", "proc/self/mountinfo": strings.Replace(mountV1, "0:30 / ", "0:30 /docker/ab ", 1),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "314572800\n",
		}, 300 << 20},
		"a group above what is mounted": {map[string]string{
			"proc/self/cgroup": "0::/../other\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/memory.max": "104857600\n",
		}, 100 << 20},
		"a path with a space": {map[string]string{
			"proc/self/cgroup": "0::/a b\n", "proc/self/mountinfo": strings.Replace(mountV2, "/sys/fs/cgroup ", `/sys/fs/my\040groups `, 1),
			"sys/fs/my groups/a b/memory.max": "104857600\n",
		}, 100 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := memory.Limit(files(test.files))
			if err != nil || got != test.want {
				t.Errorf("Limit: %d, %v; want %d", got, err, test.want)
			}
		})
	}
}

func TestLimitThatIsNone(t *testing.T) {
	root := files(map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/memory.max": "much\n"})
	if limit, err := memory.Limit(root); err == nil {
		t.Errorf("Limit: %d without an error, where the kernel writes nonsense", limit)
	}
}

// What cannot be read, as a mount of the machine's own groups in a container, takes nothing away from what the rest says.
func TestLimitBesideNonsense(t *testing.T) {
	root := files(map[string]string{
		"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": strings.Replace(mountV2, "/sys/fs/cgroup", "/host/cgroup", 1) + mountV2,
		"host/cgroup/a/memory.max": "much\n", "sys/fs/cgroup/a/memory.max": "536870912\n", "sys/fs/cgroup/memory.max": "more\n",
	})
	if limit, err := memory.Limit(root); err == nil || limit != 512<<20 {
		t.Errorf("Limit: %d, %v", limit, err)
	}
}

// This machine's own files can be read, whatever they say.
func TestLimitHere(t *testing.T) {
	if _, err := memory.Limit(os.DirFS("/")); err != nil {
		t.Error(err)
	}
}

func TestShare(t *testing.T) {
	const mib = 1 << 20
	for name, test := range map[string]struct {
		limit, uploads int64
		want           memory.Shares
	}{
		"nothing said":                {0, 0, memory.Shares{Uploads: 128 * mib}},
		"configured":                  {0, 64 * mib, memory.Shares{Uploads: 64 * mib}},
		"a large limit":               {10240 * mib, 0, memory.Shares{Limit: 10240 * mib, Uploads: 128 * mib, Heap: 9088 * mib}},
		"a quarter of a small one":    {400 * mib, 0, memory.Shares{Limit: 400 * mib, Uploads: 100 * mib, Heap: 260 * mib}},
		"no less than uploads need":   {40 * mib, 0, memory.Shares{Limit: 40 * mib, Uploads: 16 * mib, Heap: 20 * mib}},
		"configured, under a limit":   {1000 * mib, 500 * mib, memory.Shares{Limit: 1000 * mib, Uploads: 500 * mib, Heap: 400 * mib}},
		"configured as the limit is":  {400 * mib, 400 * mib, memory.Shares{Limit: 400 * mib, Uploads: 400 * mib, Heap: 100 * mib}},
		"configured more than it has": {400 * mib, 800 * mib, memory.Shares{Limit: 400 * mib, Uploads: 800 * mib, Heap: 100 * mib}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := memory.Share(test.limit, test.uploads); got != test.want {
				t.Errorf("Share: %+v, want %+v", got, test.want)
			}
		})
	}
}

func files(content map[string]string) fs.FS {
	root := fstest.MapFS{}
	for name, text := range content {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return root
}
