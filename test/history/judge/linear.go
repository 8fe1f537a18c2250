package judge

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"holdfast/test/history/call"
)

// linear asks of each object whether its facts can have happened one after the other.
func (b *book) linear() {
	each(slices.SortedFunc(maps.Keys(b.facts), compareObjects), func(o object) {
		facts := thin(b.facts[o])
		switch checkRegister(facts, []string{""}, b.opt.Timeout) {
		case porcupine.Unknown:
			b.undecide(o.String())
		case porcupine.Illegal:
			b.report(b.notLinear(o, facts))
		}
	})
}

func compareObjects(x, y object) int {
	return cmp.Or(cmp.Compare(x.kind, y.kind), cmp.Compare(x.repo, y.repo), cmp.Compare(x.ref, y.ref))
}

// String names the object for people.
func (o object) String() string { return o.kind + " " + o.repo + " " + call.Short(o.ref) }

func (o object) rule() string {
	return map[string]string{tagKind: "M1", manifestKind: "M2", blobKind: "M3"}[o.kind]
}

// register is the model of an object. With several values to begin with, any of them may have been there.
func register(begin []string) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any {
			var all []any
			for _, v := range begin {
				all = append(all, v)
			}
			return all
		},
		Step:              func(state, input, _ any) []any { return step(state.(string), input.(*fact)) },
		Equal:             func(x, y any) bool { return x == y },
		DescribeOperation: func(input, _ any) string { return describe(input.(*fact)) },
		DescribeState:     func(state any) string { return call.Short(state.(string)) },
	}
	return m.ToModel()
}

func describe(f *fact) string {
	return fmt.Sprintf("%s %s: %s %s at %s: %s", f.do, call.Short(f.value), f.call.Op, call.Short(f.call.Ref), f.call.Target, f.call.Outcome())
}

func operations(facts []*fact) []porcupine.Operation {
	ops := make([]porcupine.Operation, len(facts))
	for i, f := range facts {
		ops[i] = porcupine.Operation{ClientId: f.call.Client, Input: f, Call: f.from, Return: f.to, Metadata: f.call.String()}
	}
	return ops
}

func checkRegister(facts []*fact, begin []string, limit time.Duration) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(register(begin), operations(facts), limit)
}

// notLinear makes the problem of an object, with the smallest set of calls that shows it.
func (b *book) notLinear(o object, facts []*fact) Problem {
	limit := b.opt.Timeout / 4
	if b.full(o.rule()) {
		limit = 0 // it will not be shown
	}
	small, begin := shorten(facts, limit)
	p := Problem{Rule: o.rule(), About: o.String(), Text: "no order of these calls explains their answers"}
	if len(begin) > 1 {
		p.Text += ", whatever was there before them"
	}
	seen := make(map[*call.Call]bool)
	for _, f := range small {
		if !seen[f.call] {
			seen[f.call] = true
			p.Calls = append(p.Calls, f.call)
		}
	}
	p.view = func(w io.Writer) error {
		model := register(begin)
		_, info := porcupine.CheckOperationsVerbose(model, operations(lanes(small)), b.opt.Timeout)
		return porcupine.Visualize(model, info, w)
	}
	return p
}

// lanes spreads facts over lines in which no two overlap: a client is no such line when a call of it ends never.
func lanes(facts []*fact) []*fact {
	facts = slices.Clone(facts)
	slices.SortStableFunc(facts, func(x, y *fact) int { return cmp.Compare(x.from, y.from) })
	last := make([]int64, 0, len(facts))
	for i, f := range facts {
		lane := slices.IndexFunc(last, func(to int64) bool { return to < f.from })
		if lane < 0 {
			lane, last = len(last), append(last, 0)
		}
		last[lane] = f.to
		c := *f.call
		c.Client = lane
		facts[i] = &fact{f.do, f.value, f.from, f.to, &c}
	}
	return facts
}
