package journal

import (
	"time"
)

// usualDays is how many whole days the usual traffic is taken from.
const usualDays = 7

// A traffic counts exchanges by day, sub-module and hour of the day (UTC), as they were
// stored.
type traffic struct {
	days map[string]map[string]*[24]int
}

func newTraffic() *traffic { return &traffic{days: map[string]map[string]*[24]int{}} }

func (t *traffic) add(submodule string, at time.Time, n int) {
	at = at.UTC()
	day := at.Format(time.DateOnly)
	if t.days[day] == nil {
		t.days[day] = map[string]*[24]int{}
		for d := range t.days {
			if d < at.AddDate(0, 0, -usualDays-1).Format(time.DateOnly) {
				delete(t.days, d)
			}
		}
	}
	hours := t.days[day][submodule]
	if hours == nil {
		hours = &[24]int{}
		t.days[day][submodule] = hours
	}
	hours[at.Hour()] += n
}

// usual is how many exchanges of a sub-module, "" for all, the hours of the days before
// now had in the mean, and how many days those are. The first day on record may be a
// part of one, and does not count.
func (t *traffic) usual(submodule string, now time.Time) (mean [24]float64, days int) {
	first := ""
	for d := range t.days {
		if first == "" || d < first {
			first = d
		}
	}
	for i := 1; i <= usualDays; i++ {
		day := now.UTC().AddDate(0, 0, -i).Format(time.DateOnly)
		if first == "" || day <= first {
			break
		}
		days++
		for s, hours := range t.days[day] {
			if submodule != "" && s != submodule {
				continue
			}
			for h, n := range hours {
				mean[h] += float64(n)
			}
		}
	}
	for h := range mean {
		mean[h] /= float64(max(1, days))
	}
	return mean, days
}

// split gives how much of a day's traffic comes before and after a moment of it.
func split(hours [24]float64, now time.Time) (before, after float64) {
	now = now.UTC()
	into := (float64(now.Minute()) + float64(now.Second())/60) / 60
	for h, n := range hours {
		switch {
		case h < now.Hour():
			before += n
		case h == now.Hour():
			before, after = before+n*into, after+n*(1-into)
		default:
			after += n
		}
	}
	return before, after
}

// Due is the part of a usual day's traffic that has come by a moment of the day, 0 to 1;
// false before a whole day with traffic was seen.
func (a *Accounts) Due(now time.Time) (float64, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	hours, days := a.traffic.usual("", now)
	before, after := split(hours, now)
	if days == 0 || before+after == 0 {
		return 0, false
	}
	return before / (before + after), true
}

// growthMost bounds by how much a day's traffic is taken to differ from the usual, and
// growthFirst is how many exchanges it takes to say so.
const (
	growthMost  = 4
	growthFirst = 50
)

// Rest is how many exchanges of a sub-module are still to come on the day: as usual, and
// more or less as the day so far had more or less.
func (a *Accounts) Rest(submodule string, now time.Time) float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	hours, _ := a.traffic.usual(submodule, now)
	before, after := split(hours, now)
	if before >= growthFirst {
		today := 0
		if h := a.traffic.days[now.UTC().Format(time.DateOnly)][submodule]; h != nil {
			for _, n := range h {
				today += n
			}
		}
		after *= min(growthMost, max(1.0/growthMost, float64(today)/before))
	}
	return after
}

// meanWeight is the weight of the latest trial in the mean of what they were booked with.
const meanWeight = 0.02

// A Cell is one sub-module at one endpoint in one role.
type Cell struct {
	Submodule string
	Endpoint  string
	Role      Role
}

// A Spent is what trials of one cell were booked with on one UTC day, over all hosts.
type Spent struct {
	Trials int
	USD    float64
}

// book counts what a stored trial was booked with.
func (a *Accounts) book(c Cell, at time.Time, usd float64) {
	day := at.UTC().Format(time.DateOnly)
	if a.spent[day] == nil {
		a.spent[day] = map[Cell]Spent{}
		for d := range a.spent {
			if d < at.UTC().AddDate(0, 0, -usualDays-1).Format(time.DateOnly) {
				delete(a.spent, d)
			}
		}
	}
	s := a.spent[day][c]
	a.spent[day][c] = Spent{s.Trials + 1, s.USD + usd}
	if mean, ok := a.mean[c]; ok {
		usd = mean + meanWeight*(usd-mean)
	}
	a.mean[c] = usd
}

// MeanUSD is what a trial of the cell was booked with, lately; false before there was one.
func (a *Accounts) MeanUSD(submodule, endpoint string, role Role) (float64, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	mean, ok := a.mean[Cell{submodule, endpoint, role}]
	return mean, ok
}

// Spent gives what trials were booked with on a UTC day, by cell, over all hosts.
func (a *Accounts) Spent(day string) map[Cell]Spent {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[Cell]Spent{}
	for c, s := range a.spent[day] {
		out[c] = s
	}
	return out
}
