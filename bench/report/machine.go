package report

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine is where it was measured.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	Load   string `json:"load"` // averages when the run began; more than about 0.2 before a run spoils it
}

// ThisMachine reads what /proc says. What it does not say is empty.
func ThisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), CPU: after("/proc/cpuinfo", "model name"), Memory: after("/proc/meminfo", "MemTotal")}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	load, _ := os.ReadFile("/proc/loadavg")
	m.Kernel = strings.TrimSpace(string(kernel))
	if fields := strings.Fields(string(load)); len(fields) >= 3 {
		m.Load = strings.Join(fields[:3], " ")
	}
	return m
}

func after(file, name string) string {
	text, _ := os.ReadFile(file) // on other systems it is not there
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// String is a line of text.
func (m Machine) String() string {
	return fmt.Sprintf("%d x %s, %s, Linux %s, load before %s", m.Cores, m.CPU, m.Memory, m.Kernel, m.Load)
}
