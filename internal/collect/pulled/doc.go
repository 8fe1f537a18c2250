// Package pulled keeps when manifests were last pulled, for retention rules that ask for it. Registry is a wrapper that notes pulls in
// memory and writes them in the background: no pull makes a store request or waits for one. Read reads what all replicas wrote.
//
// A pull is a manifest that was served by tag or by digest, also to HEAD, which clients send before they pull by digest. As in zot it is the manifest that
// was pulled, and so all tags that name it. The time is the store's. For each manifest one record is written in an interval (15 minutes), by
// whichever replica comes first: the others read it and leave it. So a time that is read is at most an interval before the last pull; a process that
// dies without Close takes the pulls that it has noted since its last round with it, which is an interval at most while the store answers.
//
// Not for counting pulls, nor for what must be exact. Start with New.
package pulled
