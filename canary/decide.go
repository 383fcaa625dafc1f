package canary

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"understudy/internal/journal"
)

// byCanary is who decided, where no person did.
const byCanary = "canary"

// Decide looks and gives a decision for every cell whose verdict or reason codes
// differ from the cell's last decision. Whoever calls it stores them.
func (a *Analyzer) Decide(now time.Time) ([]journal.Decision, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.current {
		return nil, nil
	}
	var out []journal.Decision
	look := a.look(now)
	for i := range look.Cells {
		c := &look.Cells[i]
		key, state := cellKey{c.Submodule, c.Candidate}, stateOf(c.Verdict, c.Reasons)
		if a.decided[key] == state {
			continue
		}
		gates, err := json.Marshal(c.Gates)
		if err != nil {
			return out, fmt.Errorf("encode findings of %s × %s: %w", c.Submodule, c.Candidate, err)
		}
		a.decided[key] = state
		out = append(out, journal.Decision{
			Schema: journal.SchemaVersion, ID: journal.NewID(now), At: now.UTC(), Submodule: c.Submodule, Candidate: c.Candidate,
			Verdict: c.Verdict, Reasons: c.Reasons, By: byCanary, Clusters: c.Clusters, Pairs: c.Pairs, Gates: gates,
		})
	}
	return out, nil
}

// Restore says what was decided before, oldest first, so that a restart does not
// decide the same again. Decisions of people change nothing here.
func (a *Analyzer) Restore(d *journal.Decision) {
	if d.By != byCanary {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.decided[cellKey{d.Submodule, d.Candidate}] = stateOf(d.Verdict, d.Reasons)
}

// forget makes the cell's next decision due again, after one that was not stored.
func (a *Analyzer) forget(d *journal.Decision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.decided, cellKey{d.Submodule, d.Candidate})
}

// stateOf is what must change for a new decision: the verdict and the codes, not
// the numbers in the words.
func stateOf(verdict string, reasons []string) string {
	parts := []string{verdict}
	for _, r := range reasons {
		parts = append(parts, Code(r))
	}
	return strings.Join(parts, " ")
}
