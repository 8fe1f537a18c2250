package format

import "time"

// Secret is the cluster's secret, which the first replica makes. What it signs is verified by it, and for a while by those before it.
type Secret struct {
	Meta
	Secret   []byte          `json:"secret"`
	Previous []RetiredSecret `json:"previous,omitempty"` // the newest first
}

// RetiredSecret is a secret that signs no more.
type RetiredSecret struct {
	Secret  []byte    `json:"secret"`
	Retired time.Time `json:"retired"` // when it was replaced, by the store's clock
}

// MinSecretBytes is the shortest secret with which a replica starts.
const MinSecretBytes = 32
