// Package redirect decides which clients read a blob from the store itself, by a URL, and which through this process: by the size of the blob, the client's network,
// its user agent, and a header that a trusted proxy sets. It knows nothing of registries and of HTTP servers; it makes no URL. Start with Rules.
package redirect
