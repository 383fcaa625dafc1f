package main

import (
	"time"

	"understudy/internal/journal"
)

// A SpendForecast is what the day comes to if it goes on as usual and every conversation
// is asked.
type SpendForecast struct {
	// USD is settled and lost so far, and what the rest of the day costs.
	USD float64 `json:"usd"`
	// ReachesCap tells that this is more than the cap, At about when; null where it is not.
	ReachesCap bool       `json:"reaches_cap"`
	At         *time.Time `json:"at"`
}

// A forecaster knows what each hour of the rest of the day costs each cell. A cell that
// nothing was booked for yet counts nothing.
type forecaster struct {
	now   time.Time
	hours map[journal.Cell][24]float64 // USD
}

// spendTraffic is what is known of the traffic and of its cost.
type spendTraffic interface {
	Coming(submodule string, now time.Time) [24]float64
	PerExchangeUSD(c journal.Cell) (float64, bool)
}

func newForecaster(t spendTraffic, cells []SpendCell, role journal.Role, now time.Time) *forecaster {
	f := &forecaster{now: now.UTC(), hours: map[journal.Cell][24]float64{}}
	for _, cell := range cells {
		c := journal.Cell{Submodule: cell.Submodule, Endpoint: cell.Endpoint, Role: role}
		usd, ok := t.PerExchangeUSD(c)
		if !ok {
			continue
		}
		hours := t.Coming(c.Submodule, now)
		for h := range hours {
			hours[h] *= usd
		}
		f.hours[c] = hours
	}
	return f
}

// of is the forecast of a budget of the cells' account.
func (f *forecaster) of(b *journal.Balance) *SpendForecast {
	out := &SpendForecast{USD: b.SettledUSD + b.LostUSD}
	for h := range 24 {
		cost := 0.0
		for c, hours := range f.hours {
			if b.Pays(c) {
				cost += hours[h]
			}
		}
		if left := b.CapUSD - out.USD; out.At == nil && cost > max(0, left) {
			at := f.within(h, max(0, left)/cost)
			out.At = &at
		}
		out.USD += cost
	}
	if b.Ended != nil {
		out.At = b.Ended
	}
	out.ReachesCap = out.At != nil
	return out
}

// within is the moment at which a share of what an hour still brings has come.
func (f *forecaster) within(hour int, share float64) time.Time {
	midnight := f.now.Truncate(24 * time.Hour)
	from, until := midnight.Add(time.Duration(hour)*time.Hour), midnight.Add(time.Duration(hour+1)*time.Hour)
	if f.now.After(from) {
		from = f.now
	}
	return from.Add(time.Duration(share * float64(until.Sub(from)))).Truncate(time.Minute)
}
