package s3

// Size returns how many bytes the segment has, of which the reader reads a range: a wrapper that keeps whole segments asks.
func (r *reader) Size() int64 { return r.object.Size }
