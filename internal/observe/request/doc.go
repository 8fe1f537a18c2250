// Package request is what is known of one HTTP request while it is served: its id, its route, the trace that it belongs to. It travels in the
// context, so that every line of the log that is written for the request names it. Handler is the edge: it makes all that, tells observers of each
// request (metrics, traces) and writes one line about it. It knows nothing of registries: who serves says what a path means.
//
// What is logged holds no secret: no header but a clipped User-Agent, no query, and of an upload's id only its beginning.
package request
