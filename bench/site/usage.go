package site

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc, which Linux has been telling everybody is this for decades.
const tick = 10 * time.Millisecond

// Usage is what a subject's processes took, all together.
type Usage struct {
	CPU  time.Duration // since their start
	Peak int64         // the most resident memory since ResetPeak, bytes; of several processes the sum of each one's
}

// Usage reads what the subject's processes and their children took. HAProxy is not counted.
func (s *Subject) Usage() (all Usage, err error) {
	pids, err := s.pids()
	if err != nil {
		return Usage{}, err
	}
	for _, pid := range pids {
		cpu, err := cpuOf(pid)
		if err != nil {
			return Usage{}, err
		}
		peak, err := peakOf(pid)
		if err != nil {
			return Usage{}, err
		}
		all.CPU += cpu
		all.Peak += peak
	}
	return all, nil
}

// ResetPeak forgets the peaks so far.
func (s *Subject) ResetPeak() error {
	pids, err := s.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := os.WriteFile(proc(pid, "clear_refs"), []byte("5"), 0o200); err != nil {
			return fmt.Errorf("site: reset the peak of memory: %w", err)
		}
	}
	return nil
}

func proc(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// pids are those of the subject's processes and of their children: nginx works in its.
func (s *Subject) pids() (pids []int, err error) {
	for _, c := range s.children {
		pids = append(pids, c.Pid())
	}
	for i := 0; i < len(pids); i++ {
		text, err := os.ReadFile(proc(pids[i], "task/"+strconv.Itoa(pids[i])+"/children"))
		if err != nil {
			return nil, fmt.Errorf("site: find the processes: %w", err)
		}
		for field := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("site: find the processes: %w", err)
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(proc(pid, "stat"))
	if err != nil {
		return 0, fmt.Errorf("site: read the CPU time: %w", err)
	}
	// After the name in brackets, which may hold anything, utime and stime are the 12th and the 13th.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("site: read the CPU time: too few fields")
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("site: read the CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

func peakOf(pid int) (int64, error) {
	text, err := os.ReadFile(proc(pid, "status"))
	if err != nil {
		return 0, fmt.Errorf("site: read the peak of memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("site: read the peak of memory: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, errors.New("site: read the peak of memory: no VmHWM")
}
