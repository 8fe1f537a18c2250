package move

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"holdfast/internal/registry"
)

// Op is a kind of move.
type Op string

// The kinds of moves.
const (
	OpBackup  Op = "backup"
	OpRestore Op = "restore"
	OpImport  Op = "import"
	OpExport  Op = "export"
)

// Request is a move that an operator asks for. Fields that its kind has no use for are ignored.
type Request struct {
	Do         Op       `json:"do"`
	Place      string   `json:"place"`                // the layout, absolute; import: kind:place, see Kinds
	Only       []string `json:"only,omitempty"`       // restore, import: these repositories. export: references
	Snapshot   string   `json:"snapshot,omitempty"`   // restore: "" is the newest
	Prefix     string   `json:"prefix,omitempty"`     // restore, import: before the repositories' names
	Repository string   `json:"repository,omitempty"` // import of an OCI layout: for names without one
	Keep       int      `json:"keep,omitempty"`       // backup: so many snapshots; 0: all
	Verify     bool     `json:"verify,omitempty"`     // backup: read and compare what is there
	DryRun     bool     `json:"dryRun,omitempty"`     // restore, import
	Overwrite  bool     `json:"overwrite,omitempty"`  // restore, import: tags that name something else are set
}

// The kinds of sources of an import.
const (
	KindOCILayout    = "oci-layout"
	KindZot          = "zot"
	KindZotS3        = "zot-s3"
	KindDistribution = "distribution"
)

// Kinds names them, for messages.
const Kinds = "oci-layout:DIR, zot:DIR, zot-s3:CONFIG (zot's own file) or distribution:DIR"

// Deps is what a move works on.
type Deps struct {
	Registry registry.Registry // over all stores
	Stores   []Store           // the root's first
	// Bucket opens the bucket of a zot configuration file, read only, and names the folders that may be zot's root directory, in the order in which to look.
	Bucket func(ctx context.Context, config string) (_ Tree, folders []string, done func(), err error)
}

// MisusedError is a request that makes no sense.
type MisusedError struct{ text string }

// Error says why.
func (e *MisusedError) Error() string { return e.text }

// Do does what a request asks for. Errors: a *MisusedError, and those of Backup, Import and Export. The report is never nil.
func Do(ctx context.Context, deps Deps, r Request, tell func(Progress)) (*Report, error) {
	switch r.Do {
	case OpBackup:
		layout, err := MakeLayout(r.Place)
		if err != nil {
			return nothing(r), err
		}
		return Backup(ctx, deps.Stores, layout, BackupConfig{Keep: r.Keep, Verify: r.Verify}, tell)
	case OpExport:
		if _, err := parseTargets(r.Only); err != nil {
			return nothing(r), &MisusedError{err.Error()}
		}
		layout, err := MakeLayout(r.Place)
		if err != nil {
			return nothing(r), err
		}
		return Export(ctx, deps.Registry, layout, r.Only, tell)
	case OpRestore:
		return restore(ctx, deps, r, tell)
	case OpImport:
		source, done, err := open(ctx, deps, r)
		if err != nil {
			return nothing(r), err
		}
		defer done()
		return Import(ctx, deps.Registry, source, r.importConfig(), tell)
	}
	return nothing(r), &MisusedError{fmt.Sprintf("there is no move called %q", r.Do)}
}

func nothing(r Request) *Report { return &newTally(r.Do, r.DryRun).report }

func (r Request) importConfig() ImportConfig {
	return ImportConfig{Prefix: r.Prefix, Only: r.Only, DryRun: r.DryRun, Overwrite: r.Overwrite}
}

// restore is an import of a snapshot. Of a whole one, under the same names, what access control kept comes back first.
func restore(ctx context.Context, deps Deps, r Request, tell func(Progress)) (*Report, error) {
	layout, err := OpenLayout(r.Place)
	if err != nil {
		return nothing(r), err
	}
	source, snapshot, err := NewSnapshotSource(layout, r.Snapshot)
	if err != nil {
		return nothing(r), err
	}
	t := newTally(OpRestore, r.DryRun)
	t.report.Snapshot = snapshot.Name
	if len(r.Only) == 0 && r.Prefix == "" && !r.DryRun && len(deps.Stores) > 0 {
		kept, err := layout.access(snapshot)
		if err == nil {
			err = kept.write(ctx, deps.Stores[0].Records)
		}
		if err != nil {
			return &t.report, err
		}
	}
	return bringIn(ctx, t, deps.Registry, source, r.importConfig(), tell)
}

// open opens the source of an import.
func open(ctx context.Context, deps Deps, r Request) (_ Source, done func(), err error) {
	kind, place, found := strings.Cut(r.Place, ":")
	if !found || place == "" {
		return nil, nil, &MisusedError{fmt.Sprintf("%q is not %s", r.Place, Kinds)}
	}
	none := func() {}
	switch kind {
	case KindOCILayout:
		layout, err := OpenLayout(place)
		if err != nil {
			return nil, nil, err
		}
		return NewLayoutSource(layout, r.Repository), none, nil
	case KindZot:
		source, err := NewZot(ctx, Dir(place), "")
		return source, none, notEmpty(ctx, Dir(place), place, err)
	case KindDistribution:
		tree := Below(Dir(place), distributionRoot)
		return NewDistribution(Dir(place)), none, notEmpty(ctx, tree, place+"/"+distributionRoot, nil)
	case KindZotS3:
		tree, folders, done, err := deps.Bucket(ctx, place)
		if err != nil {
			return nil, nil, err
		}
		source, err := NewZot(ctx, tree, folders...)
		if err = notEmpty(ctx, tree, place, err); err != nil {
			done()
		}
		return source, done, err
	}
	return nil, nil, &MisusedError{fmt.Sprintf("%q is not %s", r.Place, Kinds)}
}

// notEmpty is an error for a source in which there is nothing: it is the wrong one.
func notEmpty(ctx context.Context, tree Tree, place string, err error) error {
	if err != nil {
		return err
	}
	found, err := hasFiles(ctx, tree)
	if err == nil && !found {
		err = fmt.Errorf("move: look into %s: there is nothing: %w", place, fs.ErrNotExist)
	}
	return err
}
