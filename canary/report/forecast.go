package report

import (
	"time"

	"understudy/canary"
	"understudy/canary/stats"
)

// A Forecast is what a cell that is COLLECTING still needs at the pace so far. It
// is usually right within a factor of two, and a lower bound where something
// else than conversations and time is open.
type Forecast struct {
	// Conversations and Seconds are unknown where nothing can be said.
	Conversations canary.Number `json:"conversations"`
	Seconds       canary.Number `json:"seconds"`
	// NotOnCourse are the gates that would never be proven at this rate.
	NotOnCourse []string `json:"not_on_course"`
	// NoData are the gates that nothing has been measured for.
	NoData []string `json:"no_data"`
}

func forecast(c *Cell, config *canary.Config) *Forecast {
	if c.Verdict != canary.Collecting {
		return nil
	}
	f := &Forecast{Conversations: canary.Unknown(), Seconds: canary.Unknown(), NotOnCourse: []string{}, NoData: []string{}}
	need := float64(max(0, config.MinConversations-c.Clusters))
	for i := range c.Gates {
		switch g := &c.Gates[i]; {
		case g.Status == canary.Proven:
		case g.Status == canary.NoData:
			f.NoData = append(f.NoData, g.Name)
		case g.Remaining.Known():
			need = max(need, float64(g.Remaining))
		case startsLate(g):
			need = max(need, float64(stats.RatioStart-g.Clusters))
		default:
			f.NotOnCourse = append(f.NotOnCourse, g.Name)
		}
	}
	if len(f.NotOnCourse)+len(f.NoData) > 0 {
		return f
	}
	f.Conversations = canary.Number(need)
	if seconds := (config.MinSpan - c.observed()).Seconds(); need == 0 {
		f.Seconds = canary.Number(max(0, seconds))
	} else if c.Clusters > 1 && c.observed() > 0 {
		pace := c.observed().Seconds() / float64(c.Clusters)
		f.Seconds = canary.Number(max(seconds, need*pace))
	}
	return f
}

// startsLate tells that a gate on sums of costs has not begun to have evidence.
func startsLate(g *canary.Finding) bool {
	return g.Clusters < stats.RatioStart && (g.Name == "cost_ratio" || g.Name == "cost_per_unit_usd" || g.Name == "expense_ratio")
}

// wait is how long the forecast says, "" where it says nothing.
func (f *Forecast) wait() string {
	if !f.Seconds.Known() || float64(f.Seconds) > (10*365*24*time.Hour).Seconds() {
		return ""
	}
	return span(time.Duration(float64(f.Seconds) * float64(time.Second)))
}
