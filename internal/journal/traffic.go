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

// on is how many exchanges of a sub-module, "" for all, a day has had so far.
func (t *traffic) on(submodule string, day time.Time) (exchanges int) {
	for s, hours := range t.days[day.UTC().Format(time.DateOnly)] {
		if submodule != "" && s != submodule {
			continue
		}
		for _, n := range hours {
			exchanges += n
		}
	}
	return exchanges
}

// passed is the part of an hour of the day that is over, 0 to 1.
func passed(hour int, now time.Time) float64 {
	now = now.UTC()
	into := now.Sub(now.Truncate(time.Hour)).Hours()
	return min(1, max(0, float64(now.Hour()-hour)+into))
}

// split gives how much of a day's traffic comes before and after a moment of it.
func split(hours [24]float64, now time.Time) (before, after float64) {
	for h, n := range hours {
		p := passed(h, now)
		before, after = before+n*p, after+n*(1-p)
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

// UsualDays is how many whole days the usual traffic is known from, 0 to 7.
func (a *Accounts) UsualDays(now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, days := a.traffic.usual("", now)
	return days
}

// Coming is how many exchanges of a sub-module, "" for all, each hour (UTC) of the day
// still brings: as usual, and more or less as the day so far had more or less. Hours
// that are over bring none, and of the hour that runs it is the rest.
func (a *Accounts) Coming(submodule string, now time.Time) (hours [24]float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	usual, _ := a.traffic.usual(submodule, now)
	before, _ := split(usual, now)
	growth := 1.0
	if before >= growthFirst {
		growth = min(growthMost, max(1.0/growthMost, float64(a.traffic.on(submodule, now))/before))
	}
	for h, n := range usual {
		hours[h] = growth * n * (1 - passed(h, now))
	}
	return hours
}

// Rest is how many exchanges of a sub-module are still to come on the day; see Coming.
func (a *Accounts) Rest(submodule string, now time.Time) (exchanges float64) {
	for _, n := range a.Coming(submodule, now) {
		exchanges += n
	}
	return exchanges
}
