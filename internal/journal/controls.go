package journal

// ControlBuckets counts in what a control's exchanges ended. What is still
// pending is not known here: a control's scope is its stage's business.
type ControlBuckets struct {
	Trial         int `json:"trial"`
	NotComparable int `json:"not_comparable"`
	OverBudget    int `json:"over_budget"`
	DeadLetter    int `json:"dead_letter"`
	NotDrawn      int `json:"not_drawn"`
}

// control counts a control's trial. No exchange is held open for a control, so
// that the message's tally, which may be forgotten by now, has no part in it.
func (a *Accounts) control(endpoint string, d Disposition) {
	b := a.controls[endpoint]
	if b == nil {
		b = &ControlBuckets{}
		a.controls[endpoint] = b
	}
	switch d {
	case Tried:
		b.Trial++
	case NotComparable:
		b.NotComparable++
	case OverBudget:
		b.OverBudget++
	case DeadLetter:
		b.DeadLetter++
	case NotDrawn:
		b.NotDrawn++
	}
}

// Controls gives the buckets of every control by its endpoint, over all
// sub-modules whose baseline it is or was.
func (a *Accounts) Controls() map[string]ControlBuckets {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string]ControlBuckets{}
	for endpoint, b := range a.controls {
		out[endpoint] = *b
	}
	return out
}
