package abuse

import (
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A row is one number of the list, and what is done for it. A number may have several rows.
type row struct {
	number string
	name   string
	run    func(*attack)

	at    place
	slow  bool // takes its time, or measures: only in make abuse
	waits bool // mostly waits: with others that do, after the rest
	alone bool // disturbs others, or is disturbed: after them, with nothing beside it
	last  bool // looks at what all others have left
}

// place says where a row asks.
type place int

const (
	everywhere place = iota // through HAProxy, and directly at a replica
	direct                  // at a replica: a proxy would answer in its place
	once                    // at one place, or at those that the row chooses
)

// An attack is one run of a row at one place.
type attack struct {
	*testing.T
	*world
	row   row
	front string // host:port that is asked
	from  string // address that is asked from
	word  string // random
	repo  string // of this run: alice may do everything there
	priv  string // the same for bob, and nothing for alice
}

func (w *world) attack(t *testing.T, front string) *attack {
	word := strings.ToLower(rand.Text()[:10])
	return &attack{
		T: t, world: w, front: front, from: w.address(), word: word,
		repo: "acme/app/" + word, priv: "acme/priv/" + word,
	}
}

// at is the same attack at another place.
func (a *attack) at(front string) *attack {
	b := *a
	b.front = strings.TrimPrefix(front, "http://")
	return &b
}

// stranger is the same attack from an address that nobody else asks from.
func (a *attack) stranger() *attack {
	b := *a
	b.from = a.address()
	return &b
}

// report collects what came of the rows. Safe for concurrent use.
type report struct {
	mu     sync.Mutex
	failed map[string]bool     // by number, of those that ran
	notes  map[string][]string // what was measured
}

func (r *report) add(number string, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[number] = r.failed[number] || failed
}

// measured notes what a row has measured, to be printed with its outcome.
func (a *attack) measured(format string, args ...any) {
	a.Helper()
	text := fmt.Sprintf(format, args...)
	a.Log(text)
	a.report.mu.Lock()
	defer a.report.mu.Unlock()
	a.report.notes[a.row.number] = append(a.report.notes[a.row.number], text)
}

// print tells of each number, and counts.
func (r *report) print() {
	passed, failed, none := 0, 0, 0
	for _, number := range numbers {
		why, absent := absent[number]
		bad, ran := r.failed[number]
		switch {
		case absent:
			none++
			fmt.Printf("%s does not apply: %s\n", number, why)
		case bad:
			failed++
			fmt.Printf("%s FAILED\n", number)
		case ran:
			passed++
			fmt.Printf("%s passed\n", number)
		}
		for _, text := range r.notes[number] {
			fmt.Printf("    %s\n", text)
		}
	}
	fmt.Printf("passed %d, failed %d, does not apply %d\n", passed, failed, none)
}

// TestAbuse runs every row.
func TestAbuse(t *testing.T) {
	w := newWorld(t)
	for _, phase := range []func(row) bool{
		func(row row) bool { return !row.alone && !row.last && !row.waits },
		func(row row) bool { return row.waits },
		func(row row) bool { return row.alone },
		func(row row) bool { return row.last },
	} {
		began := time.Now()
		t.Run("rows", func(t *testing.T) {
			for _, row := range rows() {
				if phase(row) && (w.full || !row.slow) {
					w.play(t, row)
				}
			}
		})
		t.Logf("these took %v", time.Since(began).Round(time.Second))
	}
	if w.full {
		w.report.print()
	}
}

// play runs a row at its places.
func (w *world) play(t *testing.T, row row) {
	fronts := map[string]string{"direct": w.main.replicas[0]}
	switch {
	case !w.full || row.at == direct:
	case row.at == once:
		fronts = map[string]string{"haproxy": w.main.front}
	default:
		fronts["haproxy"] = w.main.front
	}
	for name, front := range fronts {
		t.Run(strings.ReplaceAll(row.number+": "+row.name+" ("+name+")", "/", "|"), func(t *testing.T) {
			if !row.alone && !row.last {
				t.Parallel()
			}
			t.Cleanup(func() { w.report.add(row.number, t.Failed()) })
			a := w.attack(t, front)
			a.row = row
			row.run(a)
		})
	}
}

// rows are all of them.
func rows() []row {
	return slices.Concat(
		nameRows(), referenceRows(), listRows(), uploadRows(), chunkRows(), sessionRows(), blobRows(), manifestRows(), descriptorRows(),
		browserRows(), wireRows(), slowRows(), limitRows(), raceRows(), deleteRows(), peopleRows(), policyRows(), loginRows(), tokenRows(),
		leakRows(), tlsRows(), configRows(), passwordFileRows(), bucketRows(),
	)
}

// TestEveryNumberHasARow fails when a number has no row, or a row has none.
func TestEveryNumberHasARow(t *testing.T) {
	have := map[string]bool{}
	for _, row := range rows() {
		have[row.number] = true
		if !slices.Contains(numbers, row.number) {
			t.Errorf("%s: %s is not in the list of numbers", row.number, row.name)
		}
	}
	for _, number := range numbers {
		if _, none := absent[number]; have[number] == none {
			t.Errorf("%s: a row is there: %v; it does not apply: %v; want one of the two", number, have[number], none)
		}
	}
}

// TestMain lets rows run at once: they wait more than they work.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
