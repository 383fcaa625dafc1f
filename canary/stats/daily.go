package stats

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// dailyKept is how many days a Daily keeps apart.
const dailyKept = 60

const secondsPerDay = 24 * 60 * 60

// Daily sums pairs of amounts by UTC day, to tell how far off the one is that was
// estimated. Of all the days that it has seen the latest 60 are kept apart, the rest is one
// sum, so that its memory is bounded. Sums are additive: in any order, in parts or
// merged, the same pairs give the same state but for rounding.
type Daily struct {
	// Days in rising order.
	Days  []DaySums `json:"days"`
	Older DaySums   `json:"older"`
}

// DaySums are the sums of one day, or of several.
type DaySums struct {
	// Day since 1970-01-01 UTC; of several days it has no meaning.
	Day int64 `json:"day"`
	// N pairs with the sums of both amounts.
	N         int64   `json:"n"`
	Known     float64 `json:"known"`
	Estimated float64 `json:"estimated"`
}

// Start is the day's first moment.
func (s *DaySums) Start() time.Time { return time.Unix(s.Day*secondsPerDay, 0).UTC() }

// Error is |sum estimated / sum known - 1|; NaN or infinite where nothing known was
// above zero.
func (s *DaySums) Error() float64 { return math.Abs(s.Estimated/s.Known - 1) }

func (s *DaySums) add(o *DaySums) {
	s.N += o.N
	s.Known += o.Known
	s.Estimated += o.Estimated
}

// Add takes one pair of finite amounts, both at least 0, at the UTC day of at.
func (s *Daily) Add(at time.Time, known, estimated float64) {
	day := at.UTC().Truncate(24*time.Hour).Unix() / secondsPerDay
	s.day(&DaySums{Day: day, N: 1, Known: known, Estimated: estimated})
}

// Merge adds the days of another state.
func (s *Daily) Merge(o *Daily) {
	s.Older.add(&o.Older)
	for i := range o.Days {
		s.day(&o.Days[i])
	}
}

// day adds sums to their day. A day that is not among the latest ones never will be
// again, so that no part of a kept day is ever in Older.
func (s *Daily) day(o *DaySums) {
	i, there := slices.BinarySearchFunc(s.Days, o.Day, func(d DaySums, day int64) int { return cmp.Compare(d.Day, day) })
	if there {
		s.Days[i].add(o)
		return
	}
	s.Days = slices.Insert(s.Days, i, *o)
	if len(s.Days) > dailyKept {
		s.Older.add(&s.Days[0])
		s.Days = slices.Delete(s.Days, 0, 1)
	}
}

// Latest are the sums of the latest kept day that has at least n pairs; false
// without such a day.
func (s *Daily) Latest(n int64) (DaySums, bool) {
	for _, d := range slices.Backward(s.Days) {
		if d.N >= n {
			return d, true
		}
	}
	return DaySums{}, false
}

// All are the sums of all days together.
func (s *Daily) All() DaySums {
	all := DaySums{}
	all.add(&s.Older)
	for i := range s.Days {
		all.add(&s.Days[i])
	}
	return all
}
