package measure

import (
	"slices"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/proxy"
	"holdfast/bench/rows"
	"holdfast/bench/site"
)

// Line is what one subject did in one row.
type Line struct {
	Row     string `json:"row"`
	Title   string `json:"title"`
	Subject string `json:"subject"`
	State   string `json:"state,omitempty"` // cold or warm, where the row is of one
	Clients int    `json:"clients"`
	Latency string `json:"latency,omitempty"` // added to each S3 request

	Operations int    `json:"operations"` // that succeeded, in all rounds
	Errors     int    `json:"errors"`
	Error      string `json:"error,omitempty"` // the first, or why there are no figures at all

	Rate      float64   `json:"rate"` // operations in a second, the median of the rounds
	Rates     []float64 `json:"rates"`
	Megabytes float64   `json:"mb_per_second,omitempty"`
	P50       float64   `json:"p50_ms"`
	P99       float64   `json:"p99_ms"`
	P999      float64   `json:"p999_ms"`

	CPU      float64 `json:"cpu_ms"`                  // of the subject's processes, an operation
	CPUPerGB float64 `json:"cpu_s_per_gb,omitempty"`  // of what operations move
	Peak     float64 `json:"peak_mib"`                // the most resident memory, over all rounds
	Requests float64 `json:"s3_requests"`             // an operation
	Kinds    Kinds   `json:"s3_kinds,omitempty"`      // of these
	Up       float64 `json:"s3_bytes_up,omitempty"`   // an operation
	Down     float64 `json:"s3_bytes_down,omitempty"` // an operation
	// Downloaded is what was read from the store in a round in the size of what one operation moves.
	Downloaded float64 `json:"s3_downloaded,omitempty"`

	// Of a subject with a cache that replicas share, an operation.
	Asked float64 `json:"shared_asked,omitempty"` // reads, for which the operation waits
	Given float64 `json:"shared_given,omitempty"` // writes, for which nobody waits
	Late  float64 `json:"shared_late,omitempty"`  // of both, that were not answered in time, failed, or were not made
	Found float64 `json:"shared_found,omitempty"` // reads that found what was of use
}

// Kinds are requests by the name of their kind.
type Kinds map[string]float64

// Value is the line's value of a metric, 0 where it has none: of times in seconds.
func (l Line) Value(m rows.Metric) float64 {
	switch m {
	case rows.Rate:
		return l.Rate
	case rows.Took:
		return l.P50 / 1e3
	case rows.CPU:
		return l.CPU
	case rows.Memory:
		return l.Peak
	case rows.Downloaded:
		return l.Downloaded
	}
	return 0
}

// round is what was measured in a round.
type round struct {
	result load.Result
	cpu    time.Duration
	own    time.Duration // that the benchmark itself took
	peak   int64
	counts proxy.Counts
	shared site.SharedCalls
}

// fill computes the line from its rounds.
func (l *Line) fill(row rows.Row, all []round) {
	var took []time.Duration
	var cpu, down []float64
	var requests proxy.Counts
	var shared site.SharedCalls
	for _, r := range all {
		n := float64(len(r.result.Took))
		took = append(took, r.result.Took...)
		l.Errors += r.result.Errors
		if l.Error == "" && r.result.Err != nil {
			l.Error = r.result.Err.Error()
		}
		l.Rates = append(l.Rates, r.result.Rate)
		l.Peak = max(l.Peak, float64(r.peak)/(1<<20))
		requests = requests.Plus(r.counts)
		shared = shared.Plus(r.shared)
		if n > 0 {
			cpu = append(cpu, r.cpu.Seconds()*1e3/n)
		}
		if row.Bytes > 0 {
			down = append(down, float64(r.counts.Down)/float64(row.Bytes))
		}
	}
	l.Operations = len(took)
	l.Rate = median(l.Rates)
	if l.Operations == 0 {
		return
	}
	slices.Sort(took)
	l.P50, l.P99, l.P999 = quantile(took, 0.5), quantile(took, 0.99), quantile(took, 0.999)
	l.CPU = median(cpu)
	if row.Bytes > 0 {
		l.Megabytes = l.Rate * float64(row.Bytes) / 1e6
		l.CPUPerGB = l.CPU / 1e3 * 1e9 / float64(row.Bytes)
		l.Downloaded = median(down)
	}
	n := float64(l.Operations)
	l.Requests = float64(requests.Total()) / n
	l.Up, l.Down = float64(requests.Up)/n, float64(requests.Down)/n
	l.Asked, l.Given, l.Late, l.Found = shared.Asked/n, shared.Given/n, shared.Late/n, shared.Found/n
	l.Kinds = Kinds{}
	for kind, count := range requests.ByName() {
		l.Kinds[kind] = float64(count) / n
	}
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// quantile is of sorted values, which are not empty, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	i := min(int(q*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[i].Nanoseconds()) / 1e6
}
