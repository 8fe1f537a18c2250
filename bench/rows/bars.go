package rows

import "holdfast/bench/site"

// Metric is what a bar is about.
type Metric string

// The metrics. Of Rate more is better, of all others less.
const (
	Rate       Metric = "rate"
	Took       Metric = "time"        // the median of an operation
	CPU        Metric = "CPU time"    // of an operation
	Memory     Metric = "peak memory" // resident
	Downloaded Metric = "S3 bytes"    // read from the store, as a share of what an operation moves
)

// Bar is what Holdfast must reach in a row.
type Bar struct {
	Row    string
	Metric Metric
	// Against is the subject that it is compared with. Empty: OtherRow of Holdfast's own; or where that is empty too, nothing: the bound is
	// absolute, of times in seconds.
	Against  string
	OtherRow string
	// Bound is of our value in theirs, or for AtLeast of a metric of which less is better, of theirs in ours: "so many times as good".
	Bound   float64
	AtLeast bool
}

// Bars returns what must be reached.
func Bars() []Bar {
	zot, distribution, s3, nginx := string(site.Zot), string(site.Distribution), string(site.Direct), string(site.Nginx)
	atLeast := func(row string, m Metric, against string, bound float64) Bar {
		return Bar{Row: row, Metric: m, Against: against, Bound: bound, AtLeast: true}
	}
	atMost := func(row string, m Metric, against string, bound float64) Bar {
		return Bar{Row: row, Metric: m, Against: against, Bound: bound}
	}
	return []Bar{
		atLeast("image-push", Rate, zot, 12),
		atLeast("image-push", Rate, distribution, 6),
		atMost("image-push", CPU, zot, 0.4),
		atMost("image-push", CPU, distribution, 0.4),
		atLeast("layer-push", Rate, zot, 4),
		atLeast("layer-push", Rate, distribution, 3),
		atLeast("layer-push", Rate, s3, 0.8),
		atLeast("manifest-put", Rate, zot, 40),
		atLeast("manifest-put", Rate, distribution, 2.5),
		atLeast("manifest-get", Rate, zot, 4),
		atLeast("manifest-get", Rate, distribution, 3.5),
		atLeast("manifest-get", Rate, s3, 0.8),
		atLeast("manifest-get-hot", Rate, zot, 4),
		atLeast("manifest-get-hot", Rate, distribution, 3.5),
		atLeast("manifest-get-hot", Rate, s3, 0.8),
		atLeast("manifest-get-digest", Rate, zot, 3),
		atLeast("manifest-get-digest", Rate, distribution, 2),
		atLeast("image-pull", Rate, zot, 4),
		atLeast("image-pull", Rate, distribution, 6),
		atLeast("blob-pull", Rate, zot, 1),
		atLeast("blob-pull", Rate, distribution, 1),
		atLeast("blob-pull", Rate, s3, 0.75),
		atLeast("blob-pull-one", Rate, zot, 3),
		atLeast("blob-pull-one", Rate, distribution, 3),
		{Row: "blob-storm", Metric: Downloaded, Bound: 1.2},
		atLeast("mount", Rate, distribution, 1),
		atLeast("local-blob-pull", Rate, zot, 1),
		atMost("local-blob-pull", CPU, zot, 1),
		atLeast("local-blob-pull", Rate, distribution, 1.2),
		atMost("local-blob-pull", CPU, distribution, 0.8),
		atLeast("local-blob-pull", Rate, nginx, 0.85),
		atLeast("local-image-push", Rate, zot, 2),
		atLeast("local-image-push", Rate, distribution, 1.5),
		atLeast("local-manifest-put", Rate, zot, 2),
		atLeast("local-manifest-put", Rate, distribution, 1.5),
		atLeast("local-manifest-get", Rate, zot, 2),
		atLeast("local-manifest-get", Rate, distribution, 1.5),
		atLeast("tags", Rate, zot, 5),
		atLeast("tags", Rate, distribution, 10),
		// Ten times as many: linear is ten times as long.
		{Row: "local-tags-many", Metric: Took, OtherRow: "local-tags", Bound: 12},
		atLeast("start", Took, zot, 10),
		atLeast("start", Took, distribution, 1),
		{Row: "start", Metric: Took, Bound: 1},
		atMost("push-memory", Memory, zot, 0.5),
		atMost("push-memory", Memory, distribution, 0.7),
		{Row: "last-put-large", Metric: Took, OtherRow: "last-put", Bound: 1.2},
	}
}
