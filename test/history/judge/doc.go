// Package judge says whether a history can be: whether a registry that keeps the contract could have given these
// answers at these times. A request that was sent and got no answer, an answer that broke off, 429 or 5xx is taken as one that
// may have its effect at any later time, once, or never.
//
// The rules, by the names that problems carry:
//
//	M1  a tag is a register: linearizable under push, read, delete, and the delete of the manifest it holds
//	M2  a manifest is there or not, by digest: linearizable; an index found its manifests, a tag names a manifest that is there
//	M3  a blob is there or not: linearizable; a manifest that was accepted found its blobs, one that was refused for a blob
//	    did not; every answer's bytes are the right ones
//	M4  an upload is an offset: linearizable; none is acknowledged twice, none forgotten, none goes on after its end
//	M5  a page of a list shows what was there during the whole request and nothing that was not, in byte order, and the
//	    pages' chain ends
//	M6  an entry among referrers says what its manifest says, and the filter is kept
//	I3  while a manifest is there for certain, so are its blobs, and none of them can be deleted
//	A   an answer that no request here can get
//
// What the contract leaves open is left open here, and nothing else. Each place says why: relaxed.go has them.
//
// Start with History.
package judge
