// Package recordtest is the suite that every record driver passes: what record.Store promises, races
// included. A new promise of the contract is first a test here.
//
// The suite is made for slow stores as well: it opens one store, makes about 2,000 requests, at most 16 at a
// time, and writes only below a random prefix, so that the store may hold anything before and be used
// again after. It removes nothing at the end. Start with Run.
package recordtest
