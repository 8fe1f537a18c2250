package rows

import (
	"time"

	"holdfast/bench/site"
)

// Tiny returns a few rows of hardly any size, one of each form, for tests of the benchmark itself.
func Tiny() []Row {
	return []Row{
		{
			Name: "manifest-put", Clients: 2, Local: true, Prepare: manifestPut,
			Variants: []site.Setup{{Kind: site.Holdfast, Name: "holdfast, commit", Commit: true}},
		},
		{Name: "manifest-get", Clients: 2, Extra: []site.Kind{site.Direct}, Prepare: manifestGet(2, false)},
		{Name: "start", Clients: 1, Once: true, Prepare: start(2, 2)},
		{Name: "storm", Clients: 4, Bytes: mib, Once: true, Anew: true, Cold: true, Alone: true, Prepare: pulls(1, mib)},
		{
			Name: "three", Clients: 2, Bytes: 2 * kib, Ours: true, Latency: 2 * time.Millisecond, Prepare: imagePush(2, kib),
			Variants: []site.Setup{{Kind: site.Holdfast, Name: "holdfast, three", Replicas: 3}},
		},
		{
			Name: "remembered-cold", Title: "remembered", State: Cold, Clients: 1, Times: 2, Anew: true, Cold: true, Quiet: true, Ours: true, Prepare: things(2, putAgain, false),
			Instead: []site.Setup{{Kind: site.Holdfast, Name: "holdfast, none", Remember: site.Nothing}, {Kind: site.Holdfast, Name: "holdfast, redis", Remember: site.InRedis}},
		},
	}
}
