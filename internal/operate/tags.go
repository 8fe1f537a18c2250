package operate

import (
	"bytes"
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// restorer is who a tag's history says has set it, when it was restored here.
const restorer = "holdfast tag restore"

// tag parses what the request names.
func (j *job) tag() (oci.Repository, oci.Tag, error) {
	if j.Repository == "" {
		return "", "", misused("which tag of which repository?")
	}
	tag, err := oci.ParseTag(j.Tag)
	if err != nil {
		return "", "", misused("%s", err.Error())
	}
	return oci.Repository(j.Repository), tag, nil
}

// history tells what a tag names and what it named before.
func (j *job) history(ctx context.Context) (int, error) {
	repo, tag, err := j.tag()
	if err != nil {
		return 0, err
	}
	local := j.stores[0].Registry
	look := local.History
	if j.All {
		look = local.FullHistory
	}
	h, err := look(ctx, repo, tag)
	if err != nil {
		return 0, fmt.Errorf("history of %s:%s: %w", repo, tag, err)
	}
	if j.JSON {
		return Well, printJSON(j.out, h)
	}
	return Well, j.printHistory(h)
}

func (j *job) printHistory(h *registry.TagHistory) error {
	now := h.Digest
	if now == "" {
		now = "(deleted)"
	}
	var text bytes.Buffer // whose writes do not fail
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "DIGEST\tSINCE\tUNTIL\tBY\tCAN BE RESTORED")
	_, _ = fmt.Fprintf(w, "%s\t%s\tnow\t%s\t\n", now, shown(h.Since), h.By)
	for _, n := range h.Before {
		restorable := "no: the manifest is gone"
		switch {
		case n.Present && !n.KeptUntil.IsZero():
			restorable = "yes, until " + shown(n.KeptUntil) + " at least"
		case n.Present:
			restorable = "yes, now"
		}
		until := shown(n.Until)
		if n.Deleted {
			until = "deleted " + until
			if n.DeletedBy != "" {
				until += " by " + n.DeletedBy
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", n.Digest, shown(n.Since), until, n.By, restorable)
	}
	_ = w.Flush()
	if _, err := j.out.Write(text.Bytes()); err != nil {
		return fmt.Errorf("operate: print: %w", err)
	}
	return nil
}

func shown(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return t.UTC().Format(time.RFC3339)
}

// restore sets a tag to what it named before.
func (j *job) restore(ctx context.Context) (int, error) {
	repo, tag, err := j.tag()
	if err != nil {
		return 0, err
	}
	var d oci.Digest
	if j.Digest != "" {
		if d, err = oci.ParseDigest(j.Digest); err != nil {
			return 0, misused("%s", err.Error())
		}
	}
	local := j.stores[0].Registry
	if err := local.Restore(registry.WithCaller(ctx, restorer), repo, tag, d); err != nil {
		return 0, fmt.Errorf("restore %s:%s: %w", repo, tag, err)
	}
	h, err := local.History(ctx, repo, tag)
	if err != nil {
		return 0, fmt.Errorf("%s:%s was restored; its history: %w", repo, tag, err)
	}
	if j.JSON {
		return Well, printJSON(j.out, h)
	}
	return Well, j.printHistory(h)
}
