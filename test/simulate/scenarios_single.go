package simulate

import (
	"slices"
	"time"

	"holdfast/internal/oci"
)

// singleScenarios are every operation of the registry by itself, for the enumeration of single faults.
func singleScenarios() []*Scenario {
	m, other, two := image("M", "L"), image("N", "L"), image("R", "L")
	two.Subject = m
	index := &Manifest{Name: "I", Children: []*Manifest{m}}
	first, rest, whole := piece("L", 0, 7), piece("L", 7, -1), blobBytes("L")
	blobs := []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "CN"), PushBlob(0, repoA, "CR"), PushBlob(0, repoA, "L")}
	pushed := append(slices.Clone(blobs), PushManifest(0, repoA, m, "t"))
	start := []Call{StartUpload(0, repoA, "u")}
	begun := append(slices.Clone(start), Append(0, repoA, "u", 0, first))
	full := append(slices.Clone(start), Append(0, repoA, "u", 0, whole))
	of := func(name string, setup []Call, calls ...Call) *Scenario {
		s := &Scenario{
			Name: name, Setup: setup, Clients: [][]Call{calls}, Rivals: true, Replicas: 2,
			Repositories: both, Tags: []oci.Tag{"t", "v", "w"}, Manifests: []*Manifest{m, other, two, index}, Blobs: []string{"L"},
		}
		for _, c := range setup {
			if c.Name == start[0].Name {
				s.Uploads = []string{"u"}
			}
		}
		return s
	}
	segmented := of("push of a blob of three segments", nil, PushBlob(0, repoA, "L"))
	segmented.SegmentBytes = 10
	return []*Scenario{
		of("monolithic: a single POST or PUT of a blob", nil, PushBlob(0, repoA, "L")),
		of("monolithic: a blob that is there", blobs, PushBlob(0, repoA, "L")),
		of("monolithic: a blob that another repository has", blobs, PushBlob(0, repoB, "L")),
		segmented,
		of("POST, then PUT of the whole body", start, Commit(0, repoA, "u", "L", whole)),
		of("PUT of the whole body sent again, with it and without", start, Commit(0, repoA, "u", "L", whole), Commit(0, repoA, "u", "L", whole), Commit(0, repoA, "u", "L", "")),
		of("chunked: POST, PATCH, PUT", start, Append(0, repoA, "u", 0, whole), Commit(0, repoA, "u", "L", "")),
		of("chunked: POST, PATCH, PATCH, PUT with a body", begun, Append(0, repoA, "u", 7, piece("L", 7, 20)), Commit(0, repoA, "u", "L", piece("L", 20, -1))),
		of("PUT sent again", append(slices.Clone(full), Commit(0, repoA, "u", "L", "")), Commit(0, repoA, "u", "L", "")),
		of("PUT of a session whose commit died after its claim", append(slices.Clone(full), HalfCommit(0, repoA, "u", "L", "")), Commit(0, repoA, "u", "L", "")),
		of("PUT with a wrong digest", begun, Commit(0, repoA, "u", "L+", rest), Commit(0, repoA, "u", "L", rest)),
		of("status of an upload", begun, Status(0, repoA, "u")),
		of("cancel", begun, Cancel(0, repoA, "u")),
		of("cancel straight after POST", start, Cancel(0, repoA, "u")),
		of("mount", blobs, Mount(0, repoB, "L", repoA)),
		of("mount from anywhere", blobs, Mount(0, repoB, "L", "")),
		of("HEAD and GET of a blob", blobs, StatBlob(0, repoA, "L"), GetBlob(0, repoA, "L")),
		of("HEAD of a blob older than half the grace", append(slices.Clone(blobs), Pass(0, 13*time.Hour)), StatBlob(0, repoA, "L")),
		of("manifest by tag", blobs, PushManifest(0, repoA, m, "t")),
		of("manifest by digest", blobs, PushManifest(0, repoA, m)),
		of("manifest with several tags", blobs, PushManifest(0, repoA, m, "t", "v", "w")),
		of("manifest with a subject", pushed, PushManifest(0, repoA, two)),
		of("manifest with a subject, by tag", pushed, PushManifest(0, repoA, two, "v")),
		of("manifest pushed again after a quarter of an hour", append(slices.Clone(pushed), Pass(0, 15*time.Minute)), PushManifest(0, repoA, m, "t")),
		of("index", pushed, PushManifest(0, repoA, index, "v")),
		of("retag: another manifest", pushed, PushManifest(0, repoA, other, "t")),
		of("retag: another tag", pushed, PushManifest(0, repoA, m, "v")),
		of("GET by tag and by digest", pushed, GetTag(0, repoA, "t"), GetManifest(0, repoA, m)),
		of("delete of a tag", pushed, DeleteTag(0, repoA, "t")),
		of("restore of an overwritten tag", append(slices.Clone(pushed), PushManifest(0, repoA, other, "t")), RestoreTag(0, repoA, "t", m)),
		of("restore of a deleted tag after a quarter of an hour", append(slices.Clone(pushed), DeleteTag(0, repoA, "t"), Pass(0, 15*time.Minute)), RestoreTag(0, repoA, "t", m)),
		of("delete of a manifest", append(slices.Clone(pushed), PushManifest(0, repoA, m, "v")), DeleteManifest(0, repoA, m)),
		of("delete of a referrer", append(slices.Clone(pushed), PushManifest(0, repoA, two)), DeleteManifest(0, repoA, two)),
		of("delete of a blob", blobs, DeleteBlob(0, repoA, "L")),
		of("delete of a blob in use", pushed, DeleteBlob(0, repoA, "L")),
	}
}
