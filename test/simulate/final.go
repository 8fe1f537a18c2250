package simulate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast/internal/oci"
)

// setUp makes the scenario's first calls, at once.
func (w *world) setUp() {
	for _, m := range w.scenario.Manifests {
		w.names.learn(m.Digest(), m.Name)
		for _, b := range m.Blobs {
			w.names.learn(blobDigest(b), b)
		}
	}
	for _, b := range w.scenario.Blobs {
		w.names.learn(blobDigest(b), b)
	}
	w.direct("setup", w.scenario.Setup)
	w.warmUp()
}

// direct makes calls one after the other, without a schedule.
func (w *world) direct(name string, calls []Call) {
	for i, c := range calls {
		w.directly(&call{Call: c, client: -1, name: fmt.Sprintf("%s.%d", name, i+1)})
	}
}

func (w *world) directly(k *call) []fact {
	w.step++
	k.began = int64(2 * w.step)
	k.in = w.at(k.Replica)
	k.facts = nil
	k.Do(&Env{world: w, call: k, Ctx: w.ctx, Registry: k.in.registry})
	k.in.registry.Close() // what goes on after an answer
	w.returned(k)
	return k.facts
}

// conclude looks at everything when the clients have ended: at each replica that still runs and at a fresh
// one; then repeats what ended in the unknown, which must succeed; then looks again.
func (w *world) conclude(memory *judged) {
	w.free = true
	for _, in := range w.replicas {
		if in != nil && !in.dead {
			in.registry.Close()
		}
	}
	w.checkDamaged()
	w.look("final")
	w.checkStore()
	w.checkFormat()
	again := w.unknown
	w.unknown = nil
	for _, k := range again {
		repeat := &call{Call: k.Call, client: -1, name: k.name + " again"}
		if n := w.scenario.Replicas; n > 0 {
			repeat.Replica = (k.Replica + 1) % n // one that is well
		}
		for _, f := range w.directly(repeat) {
			if f.unknown && f.do != doLeft && !w.scenario.MayStay {
				w.breaks("repeated after an unknown outcome, it fails: %s", k.Name)
			}
		}
		if repeat.again {
			w.breaks("repeated after a rival, it fails: %s", k.Name)
		}
	}
	if len(again) > 0 {
		w.look("after repeats")
		w.checkStore()
		w.checkFormat()
	}
	if len(w.broken) > 0 {
		return
	}
	w.checkHistory(memory)
}

// look reads everything at every replica, and checks the lists.
func (w *world) look(name string) {
	s := w.scenario
	for replica := range w.replicas {
		if replica == len(w.replicas)-1 {
			w.replicas[replica] = w.open(replica) // a fresh one
		} else if w.contention != nil && replica > 0 {
			continue // an exploration looks at two of them, a walk at all
		}
		for _, repo := range s.Repositories {
			var calls []Call
			for _, t := range s.Tags {
				calls = append(calls, GetTag(replica, repo, t))
			}
			for _, m := range s.Manifests {
				calls = append(calls, GetManifest(replica, repo, m))
			}
			for _, b := range s.Blobs {
				calls = append(calls, GetBlob(replica, repo, b))
			}
			w.direct(fmt.Sprintf("%s, replica %d", name, replica), calls)
			w.checkLists(replica, repo)
		}
		for _, u := range s.Uploads {
			w.direct(fmt.Sprintf("%s, replica %d", name, replica), []Call{Status(replica, s.Repositories[0], u)})
		}
	}
	for _, u := range s.Uploads {
		w.lookAtSession(u)
	}
}

// lastRead returns what the newest look read of an object.
func (w *world) lastRead(object string) string {
	for _, f := range slices.Backward(w.history) {
		if f.object == object && f.do == doFinal {
			return f.arg
		}
		if f.object == object && f.do == doMissing {
			return ""
		}
	}
	return ""
}

// checkLists compares lists with what was read one by one.
func (w *world) checkLists(replica int, repo oci.Repository) {
	r := w.replicas[replica].registry
	page, err := r.Tags(w.ctx, repo, "", 100)
	var want []oci.Tag
	for _, t := range w.scenario.Tags {
		if w.lastRead(tagObject(repo, t)) != "" {
			want = append(want, t)
		}
	}
	slices.Sort(want)
	var listed []oci.Tag
	if err == nil {
		listed = page.Names
	}
	listed = slices.DeleteFunc(listed, func(t oci.Tag) bool { return !slices.Contains(want, t) && w.namesCutLarge(repo, t) })
	if err != nil && len(want) > 0 || err == nil && !slices.Equal(listed, want) {
		w.breaks("replica %d lists the tags %v of %s (%v), there are %v", replica, listed, repo, err, want)
	}
	// A tag that a cut delete left is none that keeps a repository in the catalog: its manifest is dead, and the next delete or pass buries it.
	want = slices.DeleteFunc(want, func(t oci.Tag) bool { return w.wasCut(manifestObject(repo, w.lastRead(tagObject(repo, t)))) })
	if catalog, err := r.Repositories(w.ctx, "", 100); len(want) > 0 && (err != nil || !slices.Contains(catalog.Names, repo)) {
		w.breaks("replica %d lists the repositories %v (%v), %s has the tags %v", replica, catalog.Names, err, repo, want)
	}
	for _, subject := range w.scenario.Manifests {
		w.checkReferrers(r.Referrers, repo, subject)
	}
}

// namesCutLarge reports whether a tag may be listed although nobody can read it: it was set to a manifest that it does not carry, and whose delete
// was cut after the kill.
func (w *world) namesCutLarge(repo oci.Repository, t oci.Tag) bool {
	return slices.ContainsFunc(w.scenario.Manifests, func(m *Manifest) bool {
		return m.Pad > 0 && w.wasCut(manifestObject(repo, m.Name)) && slices.ContainsFunc(w.history, func(f fact) bool {
			return f.object == tagObject(repo, t) && f.do == doSet && f.arg == m.Name
		})
	})
}

// checkReferrers compares a subject's referrers with the manifests that are there: every one that was
// acknowledged is listed, nothing is that is not there, but for a manifest whose delete was cut.
func (w *world) checkReferrers(referrers func(context.Context, oci.Repository, oci.Digest) ([]oci.Descriptor, error), repo oci.Repository, subject *Manifest) {
	list, err := referrers(w.ctx, repo, subject.Digest())
	if err != nil {
		w.breaks("referrers of %s: %v", subject.Name, err)
		return
	}
	for _, m := range w.scenario.Manifests {
		if m.Subject != subject {
			continue
		}
		object := manifestObject(repo, m.Name)
		is := w.lastRead(object) != ""
		listed := slices.ContainsFunc(list, func(d oci.Descriptor) bool { return d.Digest == m.Digest() && d.Size == int64(len(m.Body())) })
		excused := w.wasCut(object)
		if is {
			excused = (w.isUnknown(object) || w.isLeft(object)) && !w.stands(object)
		}
		if is != listed && !excused {
			w.breaks("%s, whose subject is %s, is there: %t, is listed: %t", m.Name, subject.Name, is, listed)
		}
	}
}

// isUnknown reports whether a call on the object ended in the unknown.
func (w *world) isUnknown(object string) bool {
	return slices.ContainsFunc(w.history, func(f fact) bool { return f.object == object && f.unknown && f.do != doLeft })
}

// wasCut reports whether a delete of the object ended in the unknown, so that its last steps may not have been done, and no other that
// began after it has ended well; or a pass of a collector did, perhaps between a kill and the list: the next one, for which there is a hint, does the rest.
func (w *world) wasCut(object string) bool {
	if !w.harmed() {
		return false // a client that leaves is no excuse
	}
	late := w.injected[faultLate]+w.injected[faultCrashLate]+w.injected[faultLands] > 0 // it may be done yet
	return slices.ContainsFunc(w.history, func(f fact) bool {
		return f.object == object && f.unknown && (f.do == doAbsence && (late || w.deletes[object].finished <= f.end) || f.do == doCollected)
	})
}

// pushedAfterCut reports whether a push set the tag to a manifest, and was acknowledged, after every delete of that which was cut, and
// when nothing of it was on its way any more.
func (w *world) pushedAfterCut(manifest, tag, name string) bool {
	return w.injected[faultLate]+w.injected[faultCrashLate] == 0 && slices.ContainsFunc(w.history, func(p fact) bool {
		return p.object == tag && (p.do == doSet || p.do == doSetNew) && p.arg == name && !p.unknown && !slices.ContainsFunc(w.history, func(d fact) bool {
			return d.object == manifest && d.do == doAbsence && d.unknown && d.end > p.end
		})
	})
}

// stands reports whether a push of the object was acknowledged, and nobody has deleted the object since.
func (w *world) stands(object string) bool {
	return slices.ContainsFunc(w.history, func(p fact) bool {
		return p.object == object && p.do == doSet && !p.unknown && !slices.ContainsFunc(w.history, func(d fact) bool {
			return d.object == object && (d.do == doAbsence || d.do == doClear || d.do == doCollected) && d.ret > p.call
		})
	})
}

// isLeft reports whether a push that was refused at its last look may have left the manifest.
func (w *world) isLeft(object string) bool {
	return slices.ContainsFunc(w.history, func(f fact) bool {
		return f.object == object && f.do == doLeft && (f.n == lateLook || w.deletedBetween(f.call, f.end))
	})
}

// wasDeleted reports whether a user deleted the object, or tried to.
func (w *world) wasDeleted(object string) bool {
	return slices.ContainsFunc(w.history, func(f fact) bool { return f.object == object && (f.do == doAbsence || f.do == doClear) })
}

// wasCollected reports whether the collector removed the object, or may have.
func (w *world) wasCollected(object string) bool {
	return slices.ContainsFunc(w.history, func(f fact) bool { return f.object == object && f.do == doCollected })
}

// lookAtSession notes what a session holds.
func (w *world) lookAtSession(name string) {
	w.mu.Lock()
	id := w.vars["session "+name]
	w.mu.Unlock()
	for key, v := range w.mirror.values {
		if key[0] != 'u' || id != "" && !strings.HasSuffix(string(key), id) || v.head.State != "open" {
			continue
		}
		var content strings.Builder
		for _, s := range v.head.Segments {
			content.WriteString(w.segmentBytes(s))
		}
		w.step++
		w.history = append(w.history, fact{object: uploadObject(name), do: doHolds, arg: content.String(), by: "the session", call: int64(2 * w.step), ret: int64(2*w.step + 1)})
		if int64(content.Len()) != v.head.Offset {
			w.breaks("a session says offset %d, its segments have %d bytes", v.head.Offset, content.Len())
		}
	}
}

func (w *world) segmentBytes(s segment) string {
	r, err := w.segments.Open(w.ctx, s.ID, 0, -1)
	if err != nil {
		w.breaks("a session names a segment that is not there: %v", err)
		return ""
	}
	b := make([]byte, s.Size)
	n, _ := r.Read(b) // mem gives everything at once
	return string(b[:n])
}

// checkStore looks at what names what: a tag a manifest that is there, a manifest blobs and manifests that
// are there. Excused is a manifest that was pushed with an unknown outcome, or refused at the push's last look,
// while what it names was being deleted: no client was told that it exists, no tag names it, and the collector
// finds it.
func (w *world) checkStore() {
	for _, repo := range w.scenario.Repositories {
		for _, m := range w.scenario.Manifests {
			if w.lastRead(manifestObject(repo, m.Name)) != "" {
				w.checkManifest(repo, m)
			}
		}
		for _, t := range w.scenario.Tags {
			w.checkTag(repo, t)
		}
	}
}

func (w *world) checkManifest(repo oci.Repository, m *Manifest) {
	object := manifestObject(repo, m.Name)
	doubtful := w.isUnknown(object) || w.isLeft(object)
	for _, b := range m.Blobs {
		if w.lacks(repo, b) && (!doubtful || !w.wasDeleted(blobObject(repo, b)) && !w.wasCollected(blobObject(repo, b))) {
			w.breaks("manifest %s is there, its blob %s is not", m.Name, b)
		}
	}
	for _, c := range m.Children {
		if child := manifestObject(repo, c.Name); w.wasDeleted(child) || doubtful && w.wasCollected(child) {
			continue // which a user may, whatever index names it
		}
		if w.lastRead(manifestObject(repo, c.Name)) == "" {
			w.breaks("index %s is there, its manifest %s is not", m.Name, c.Name)
		}
		for _, b := range c.Blobs {
			if w.lacks(repo, b) && !doubtful {
				w.breaks("index %s is there, and blob %s of its manifest %s is not", m.Name, b, c.Name)
			}
		}
	}
}

// lacks reports whether the scenario looks at the blob, and it is not there.
func (w *world) lacks(repo oci.Repository, blob string) bool {
	return slices.Contains(w.scenario.Blobs, blob) && w.lastRead(blobObject(repo, blob)) == ""
}

func (w *world) checkTag(repo oci.Repository, t oci.Tag) {
	name := w.lastRead(tagObject(repo, t))
	if name == "" {
		return
	}
	m := w.scenario.manifest(name)
	object := manifestObject(repo, name)
	if w.lastRead(object) == "" && (!w.wasCut(object) || w.pushedAfterCut(object, tagObject(repo, t), name)) {
		w.breaks("tag %s points at manifest %s, which is not there", t, name)
	}
	for _, b := range m.Blobs {
		if w.lacks(repo, b) && !w.isUnknown(tagObject(repo, t)) {
			w.breaks("tag %s holds manifest %s, whose blob %s is not there", t, name, b)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.mirror.values)) {
		if strings.HasSuffix(string(key), "/g/sha256-"+m.Digest().Encoded()+"/"+string(t)) {
			return
		}
	}
	w.breaks("tag %s holds manifest %s, and no marker says so", t, name)
}
