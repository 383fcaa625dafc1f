package journal

import "time"

// Records leave by age. What is kept for how long is said for all, for kinds of records,
// and for the records of a sub-module.

// keeps is how long records of one kind are kept.
func (c *Config) keeps(own time.Duration) time.Duration {
	if own > 0 {
		return own
	}
	return c.Retention
}

// longest is how long any record with texts is kept.
func (c *Config) longest() time.Duration {
	return max(c.Retention, c.RetentionExchanges, c.RetentionTrials, c.RetentionVerdicts)
}
