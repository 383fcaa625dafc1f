package canary

// Open is the number of conversations that have not been folded yet.
func (a *Analyzer) Open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, t := range a.talks {
		n += len(t.cells)
	}
	return n
}

// Current tells whether the streams have been read to their ends at least once,
// so that conversations may close.
func (a *Analyzer) Current() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}
