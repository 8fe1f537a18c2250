package memory

const (
	// UsualUploads is the memory for uploads, in bytes, where neither the configuration nor a limit says otherwise.
	UsualUploads = 128 << 20
	// LeastUploads is the least that uploads can do with.
	LeastUploads = 16 << 20
)

// Shares is how the process's memory is used.
type Shares struct {
	Limit   int64 // of the control groups; 0: none
	Uploads int64 // for the buffers of uploads, outside of Go's heap
	Heap    int64 // Go's soft limit (GOMEMLIMIT); 0: none
}

// Share shares out a limit, 0 for none. uploads is what the configuration says, 0 for nothing: then it is 128 MiB, but not more than a
// quarter of the limit. Go gets nine tenths of the limit without that, and not less than a quarter of the limit: the last tenth is for
// what neither counts, as the kernel's buffers of connections.
func Share(limit, uploads int64) Shares {
	s := Shares{Limit: limit, Uploads: uploads}
	if s.Uploads == 0 {
		s.Uploads = UsualUploads
		if limit > 0 {
			s.Uploads = max(LeastUploads, min(s.Uploads, limit/4))
		}
	}
	if limit > 0 {
		s.Heap = max(limit/4, limit/10*9-s.Uploads)
	}
	return s
}
