// Package datatest is the suite that every data driver passes: what data.Store promises. A new promise of
// the contract is first a test here.
//
// It opens one store, writes segments under random ids and looks at no others, so that the store may hold
// anything before and be used again after. It moves about 60 MiB and eight parts each way, and removes what it can.
// Start with Run.
package datatest
