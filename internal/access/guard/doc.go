// Package guard enforces the rules of package policy in one place: a registry.Registry around another. Who asks is in the context (access.With); what has no
// access.Request there is work of our own, and is not limited. What may not be done is refused before the store is asked, in the same words whether it
// exists or not; only whether a tag is new is found out by the push itself, and held at its swap. Start at New.
package guard
