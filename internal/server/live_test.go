package server

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"holdfast/internal/collect/retain"
	"holdfast/internal/format"
	"holdfast/internal/s3"
)

// other returns the configuration with one field, at any depth, set to another value. false: of a kind that has tests of its own.
func other(cfg Config, index []int) (Config, bool) {
	v := reflect.ValueOf(&cfg).Elem().FieldByIndex(index)
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 7)
	default:
		return cfg, false
	}
	return cfg, true
}

// Every setting either is taken or needs a restart, and says so: none is silently kept.
func TestNoSettingIsSilentlyKept(t *testing.T) {
	started := Config{Storage: Storage{Dir: "/x", Collect: Collection{Enabled: true}}, SubPaths: map[string]Storage{}}
	for _, of := range []struct {
		section string
		is      reflect.Type
	}{
		{"", reflect.TypeFor[Config]()},
		{"Storage", reflect.TypeFor[Storage]()},
		{"Observe", reflect.TypeFor[Observe]()},
		{"Edge", reflect.TypeFor[Edge]()},
	} {
		var prefix []int
		if of.section != "" {
			section, _ := reflect.TypeFor[Config]().FieldByName(of.section)
			prefix = section.Index
		}
		for _, field := range reflect.VisibleFields(of.is) {
			next, simple := other(started, append(slices.Clone(prefix), field.Index...))
			if !simple || field.Name == "ExitIfUnavailable" { // which is not of the file
				continue
			}
			t.Run(of.is.Name()+"."+field.Name, func(t *testing.T) {
				used := merged(started, next)
				taken := reflect.DeepEqual(used, next)
				if keys := needRestart(used, next); taken == (len(keys) > 0) {
					t.Errorf("taken: %v, needs a restart: %v", taken, keys)
				}
			})
		}
	}
}

func TestMerged(t *testing.T) {
	keys := func(access, secret string) *s3.Config {
		return &s3.Config{Bucket: "b", AccessKey: access, SecretKey: s3.Secret(secret)}
	}
	pulls := retain.Policies{{KeepTags: []retain.KeepTags{{Rules: retain.Rules{PulledWithin: time.Hour}}}}}
	pushes := retain.Policies{{KeepTags: []retain.KeepTags{{Rules: retain.Rules{PushedWithin: time.Hour}}}}}
	on := Collection{Enabled: true}
	with := func(c Collection, p retain.Policies) Collection { c.Policies = p; return c }
	for _, row := range []struct {
		name          string
		started, next Storage
		used          Storage
		restart       []string
	}{
		{"new keys", Storage{S3: keys("a", "old")}, Storage{S3: keys("b", "new")}, Storage{S3: keys("b", "new")}, nil},
		{"keys where the chain was", Storage{S3: keys("", "")}, Storage{S3: keys("b", "new")}, Storage{S3: keys("", "")}, []string{"storage"}},
		{"another bucket, new keys", Storage{S3: keys("a", "old")}, Storage{S3: &s3.Config{Bucket: "c", AccessKey: "a", SecretKey: "new"}}, Storage{S3: keys("a", "new")}, []string{"storage"}},
		{"collector off", Storage{Collect: on}, Storage{}, Storage{}, nil},
		{"collector on", Storage{}, Storage{Collect: on}, Storage{}, []string{"storage.gc"}},
		{"other rules", Storage{Collect: on}, Storage{Collect: with(on, pushes)}, Storage{Collect: with(on, pushes)}, nil},
		{"rules by pulls that nobody noted", Storage{Collect: with(on, pushes)}, Storage{Collect: with(on, pulls)}, Storage{Collect: with(on, pushes)}, []string{"storage.retention (rules by pulls)"}},
		{"no rules by pulls any more", Storage{Collect: with(on, pulls)}, Storage{Collect: with(on, pushes)}, Storage{Collect: with(on, pushes)}, nil},
		{"another grace", Storage{Ages: format.DefaultAges()}, Storage{Ages: format.DefaultAges().Divided(2)}, Storage{Ages: format.DefaultAges()}, []string{"storage.gcDelay"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			next := Config{Storage: row.next}
			used := merged(Config{Storage: row.started}, next)
			if !reflect.DeepEqual(used.Storage, row.used) {
				t.Errorf("goes by %+v, want %+v", used.Storage, row.used)
			}
			if got := needRestart(used, next); !slices.Equal(got, row.restart) {
				t.Errorf("needs a restart: %v, want %v", got, row.restart)
			}
		})
	}
	started := Config{SubPaths: map[string]Storage{"a": {Dir: "/a"}, "b": {Dir: "/b"}}}
	next := Config{SubPaths: map[string]Storage{"a": {Dir: "/a", MaxBlobBytes: 1}, "c": {}}}
	used := merged(started, next)
	if used.SubPaths["a"].MaxBlobBytes != 1 || len(used.SubPaths) != 2 || started.SubPaths["a"].MaxBlobBytes != 0 {
		t.Errorf("sub-paths: %+v", used.SubPaths)
	}
	if got := needRestart(used, next); !slices.Equal(got, []string{"storage.subPaths"}) {
		t.Errorf("needs a restart: %v", got)
	}
}

func TestSameWork(t *testing.T) {
	at := func(hour int) func(time.Time) bool { return func(t time.Time) bool { return t.Hour() >= hour } }
	is := func(c Collection) Config { return Config{Storage: Storage{Collect: c}} }
	always := func(time.Time) bool { return true }
	for _, row := range []struct {
		name string
		a, b Config
		same bool
	}{
		{"nothing", is(Collection{Interval: 1}), is(Collection{Interval: 1, Window: always}), true},
		{"an equal window", is(Collection{Window: at(3)}), is(Collection{Window: at(3)}), true},
		{"another window", is(Collection{Window: at(3)}), is(Collection{Window: at(4)}), false},
		{"another interval", is(Collection{Interval: 1}), is(Collection{Interval: 2}), false},
		{"another scrub", Config{}, Config{Scrub: Scrub{Enabled: true}}, false},
		{"of a sub-path", Config{SubPaths: map[string]Storage{"a": {}}}, Config{SubPaths: map[string]Storage{"a": {Collect: Collection{KeepTags: true}}}}, false},
		{"drain times", Config{DrainDelay: 1}, Config{DrainDelay: 2}, true},
	} {
		if got := sameWork(row.a, row.b); got != row.same {
			t.Errorf("%s: same = %v", row.name, got)
		}
	}
}
