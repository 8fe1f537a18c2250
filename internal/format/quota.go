package format

import "time"

// QuotaLedger is a replica's ledger, q/r/<id>: only that replica writes it, but for who retires it. See package quota.
type QuotaLedger struct {
	Meta
	Holder   string               `json:"holder"` // for people
	Closed   bool                 `json:"closed,omitempty"`
	UnsureAt time.Time            `json:"unsureAt,omitzero"` // when it last came to say too much, maybe, as by a write whose answer was lost: to be counted anew
	Count    string               `json:"count,omitempty"`   // the nonce of the QuotaBase that what was removed is to be taken off from
	Sums     map[string]*QuotaSum `json:"sums"`              // by prefix
}

// QuotaSum is what a replica did.
type QuotaSum struct {
	Added   Load `json:"added"`   // since it began its ledger; it only grows
	Removed Load `json:"removed"` // by what began after it had read the ledger's Count
	Claim   Load `json:"claim"`   // what it may have added by now, and may go on to add without asking
}

// QuotaBase is q/base: what was counted, and up to where ledgers are in it.
type QuotaBase struct {
	Meta
	Counted map[string]Load                 `json:"counted"` // by prefix
	Began   time.Time                       `json:"began"`
	Ended   time.Time                       `json:"ended"`
	Marks   map[string]map[string]QuotaMark `json:"marks,omitempty"` // by ledger and prefix; what a ledger without one has added is added from its beginning
}

// QuotaMark is what of a ledger is in what was counted.
type QuotaMark struct {
	Added Load `json:"added"`
}
