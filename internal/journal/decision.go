package journal

import (
	"encoding/json"
	"time"
)

// A Decision is the verdict on a cell (sub-module × candidate) at a moment,
// with its findings. Decisions are appended when a cell's verdict changes and
// never altered.
type Decision struct {
	Schema    int       `json:"schema"`
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Submodule string    `json:"submodule"`
	Candidate string    `json:"candidate"`
	// Verdict is PROMOTE, HOLD, REJECT or COLLECTING.
	Verdict string   `json:"verdict"`
	Reasons []string `json:"reasons"`
	// By is "canary", or the person who decided.
	By       string `json:"by"`
	Clusters int    `json:"clusters"`
	Pairs    int    `json:"pairs"`
	// Gates are the findings as `report -o json` prints them.
	Gates json.RawMessage `json:"gates"`
}
