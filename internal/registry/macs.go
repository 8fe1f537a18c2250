package registry

// MACs returns what MAC returns, and what it would under each earlier secret that still verifies, the newest first. It makes no request: a secret that
// another replica has just made is among them after Verify has seen something that it signed.
func (l *Local) MACs(domain string, fields ...[]byte) [][]byte {
	known := l.keys.known.Load()
	all := [][]byte{macUnder(known.Head.Secret, domain, fields)}
	now := l.records.Now()
	for _, old := range known.Head.Previous {
		if l.stillVerifies(old, now) {
			all = append(all, macUnder(old.Secret, domain, fields))
		}
	}
	return all
}
