package stats

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Unix(0, 0).UTC()

// A dayPair is one value of Daily.
type dayPair struct {
	at               time.Time
	known, estimated float64
}

// dayPairs are of up to 200 days, some before 1970.
func dayPairs(rng *rand.Rand, n, days int) []dayPair {
	out := make([]dayPair, n)
	for i := range out {
		out[i] = dayPair{epoch.Add(time.Duration(rng.IntN(24*days)-40*24) * time.Hour), rng.Float64(), rng.Float64()}
	}
	return out
}

// sameDaily compares with what plain sums over all pairs say.
func sameDaily(t *rapid.T, what string, s *Daily, all []dayPair) {
	days := map[int64]*DaySums{}
	for _, p := range all {
		d := int64(math.Floor(float64(p.at.Unix()) / 86400))
		if days[d] == nil {
			days[d] = &DaySums{Day: d}
		}
		days[d].add(&DaySums{N: 1, Known: p.known, Estimated: p.estimated})
	}
	if len(s.Days) != min(60, len(days)) {
		t.Fatalf("%s: %d days kept, want %d", what, len(s.Days), min(60, len(days)))
	}
	for i, d := range s.Days {
		if w := days[d.Day]; w == nil || d.N != w.N || !close9(d.Known, w.Known) || !close9(d.Estimated, w.Estimated) || i > 0 && s.Days[i-1].Day >= d.Day {
			t.Fatalf("%s: day %d is %+v, want %+v in rising order", what, d.Day, d, w)
		}
		delete(days, d.Day)
	}
	for d := range days {
		if d >= s.Days[0].Day {
			t.Fatalf("%s: day %d is not kept, and %d is", what, d, s.Days[0].Day)
		}
	}
	sum, want := s.All(), DaySums{}
	for _, p := range all {
		want.add(&DaySums{N: 1, Known: p.known, Estimated: p.estimated})
	}
	if sum.N != want.N || !close9(sum.Known, want.Known) || !close9(sum.Estimated, want.Estimated) {
		t.Fatalf("%s: all days %+v, want %+v", what, sum, want)
	}
}

// In any order, on any number of nodes, merged in any order: the same state.
func TestDailyMergeAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		all := dayPairs(rng, rapid.IntRange(1, 400).Draw(t, "pairs"), rapid.IntRange(1, 200).Draw(t, "days"))
		var one Daily
		nodes := make([]Daily, rapid.IntRange(1, 8).Draw(t, "nodes"))
		for _, i := range rng.Perm(len(all)) {
			p := all[i]
			one.Add(p.at, p.known, p.estimated)
			nodes[rng.IntN(len(nodes))].Add(p.at, p.known, p.estimated)
		}
		sameDaily(t, "one node", &one, all)
		var merged Daily
		for _, i := range rng.Perm(len(nodes)) {
			merged.Merge(&nodes[i])
		}
		sameDaily(t, "merged", &merged, all)
		n := rapid.Int64Range(1, 5).Draw(t, "at least")
		a, okA := one.Latest(n)
		b, okB := merged.Latest(n)
		if okA != okB || a.Day != b.Day || a.N != b.N || okA && a.N < n {
			t.Fatalf("latest day with %d: %+v, merged %+v", n, a, b)
		}
	})
}

func TestDailyLatest(t *testing.T) {
	var s Daily
	if d, ok := s.Latest(1); ok || !math.IsNaN(d.Error()) {
		t.Errorf("without a pair there is a day: %+v", d)
	}
	add := func(day, n int, estimated float64) {
		for range n {
			s.Add(epoch.AddDate(0, 0, day).Add(23*time.Hour), 1, estimated)
		}
	}
	add(0, 40, 1.5)
	add(1, 30, 0.9)
	add(2, 29, 1)
	if d, ok := s.Latest(30); !ok || d.Day != 1 || d.N != 30 || !close9(d.Error(), 0.1) || !d.Start().Equal(epoch.AddDate(0, 0, 1)) {
		t.Errorf("latest day with 30: %+v %v, want day 1", d, ok)
	}
	add(2, 1, 1)
	if d, ok := s.Latest(30); !ok || d.Day != 2 || d.Error() != 0 {
		t.Errorf("latest day with 30: %+v %v, want day 2", d, ok)
	}
	for day := 3; day <= 60; day++ { // days 1 to 60 are kept
		add(day, 1, 1)
	}
	if d, ok := s.Latest(31); ok {
		t.Errorf("day 0 is no longer kept, and found: %+v", d)
	}
	if d, ok := s.Latest(30); !ok || d.Day != 2 {
		t.Errorf("latest day with 30: %+v %v, want day 2", d, ok)
	}
	if all := s.All(); all.N != 40+30+30+58 || !close9(all.Estimated, 60+27+30+58) {
		t.Errorf("all days: %+v", all)
	}
}
