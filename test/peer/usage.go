package peer

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU time in /proc: USER_HZ is 100 on every architecture of Linux that Go runs on.
const tick = 10 * time.Millisecond

// CPU is user and system time (proc(5), fields 14 to 17 of stat).
type CPU struct{ User, System time.Duration }

// CPU is what the process has used, and Children what its children had used that have ended.
func (p *Process) CPU() (own, children CPU, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return CPU{}, CPU{}, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const first, count = 11, 4 // behind the name in parentheses
	if len(fields) < first+count {
		return CPU{}, CPU{}, fmt.Errorf("/proc/%d/stat: %d fields", p.PID(), len(fields))
	}
	var times [count]time.Duration
	for i := range times {
		ticks, err := strconv.Atoi(fields[first+i])
		if err != nil {
			return CPU{}, CPU{}, err
		}
		times[i] = time.Duration(ticks) * tick
	}
	return CPU{times[0], times[1]}, CPU{times[2], times[3]}, nil
}

// Memory is the process's resident size in KiB, now and at its highest since ResetPeak.
func (p *Process) Memory() (now, peak int, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		var into *int
		switch name {
		case "VmRSS":
			into = &now
		case "VmHWM":
			into = &peak
		default:
			continue
		}
		if _, err := fmt.Sscanf(value, "%d kB", into); err != nil {
			return 0, 0, fmt.Errorf("/proc/%d/status: %s: %w", p.PID(), line, err)
		}
	}
	return now, peak, nil
}

// ResetPeak makes the peak of Memory begin anew (proc(5), clear_refs).
func (p *Process) ResetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0)
}
