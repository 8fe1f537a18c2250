package format

import "time"

// QuotaLedger is a replica's ledger, q/r/<id>: only that replica writes it, but for who retires it. See package quota.
type QuotaLedger struct {
	Meta
	Holder string               `json:"holder"` // for people
	Closed bool                 `json:"closed,omitempty"`
	Unsure bool                 `json:"unsure,omitempty"` // it may say too much, as after a write whose answer was lost: to be counted anew
	Sums   map[string]*QuotaSum `json:"sums"`             // by prefix
}

// QuotaSum is what a replica did since it began its ledger. All of it only grows, but Claim.
type QuotaSum struct {
	Added   Load `json:"added"`
	Removed Load `json:"removed"`
	Claim   Load `json:"claim"` // what it may have added by now, and may go on to add without asking
}

// QuotaBase is q/base: what was counted, and up to where ledgers are in it.
type QuotaBase struct {
	Meta
	Counted map[string]Load                 `json:"counted"` // by prefix
	Began   time.Time                       `json:"began"`
	Ended   time.Time                       `json:"ended"`
	Marks   map[string]map[string]QuotaMark `json:"marks,omitempty"` // by ledger and prefix; a ledger without one counts from its beginning
}

// QuotaMark is what of a ledger is in what was counted.
type QuotaMark struct {
	Added   Load `json:"added"`
	Removed Load `json:"removed"`
}
