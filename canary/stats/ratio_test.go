package stats

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func ratioOf(n int) *Ratio {
	var s Ratio
	for i := range n {
		s.Add(1+float64((i*5+2)%7)/8, 0.25+float64((i*3+1)%5)/16)
	}
	return &s
}

// The wanted numbers were computed with 60 decimal digits from the values.
func TestRatioGolden(t *testing.T) {
	for _, c := range []struct {
		n                                    int
		alpha                                float64
		estimate, below, above, lower, upper float64
	}{
		{200, 0.05, 0.27297543221110100091, 12.132460880561958342, 5.0285112101901463704, 0.25529268627033927299, 0.29155579804280994718},
		{1000, 0.025, 0.27275206836985180471, 92.556346671026926046, 35.825887145371725381, 0.26501748998877163285, 0.28065379249527356623},
	} {
		s := ratioOf(c.n)
		got := []float64{s.Estimate(), s.LogBelow(0.3125), s.LogAbove(0.25), s.Lower(c.alpha), s.Upper(c.alpha)}
		for i, want := range []float64{c.estimate, c.below, c.above, c.lower, c.upper} {
			if !close9(got[i], want) {
				t.Errorf("n=%d, number %d: got %.15g, want %.15g", c.n, i, got[i], want)
			}
		}
	}
	if want := 0.0063288596052962367676; !close9(rho2, want) {
		t.Errorf("rho2: got %v, want %v", rho2, want)
	}
}

func TestRatioNeeds200Clusters(t *testing.T) {
	s := ratioOf(199)
	if e := s.LogBelow(10); !math.IsInf(e, -1) {
		t.Errorf("199 clusters: log evidence %v, want -Inf", e)
	}
	if lo, hi := s.Lower(0.05), s.Upper(0.05); lo != 0 || !math.IsInf(hi, 1) {
		t.Errorf("199 clusters: bounds %v, %v, want 0, +Inf", lo, hi)
	}
}

// Equal ratios in every cluster: certainty in one direction, and nothing at the
// ratio itself, where only rounding is left.
func TestRatioWithoutSpread(t *testing.T) {
	var s Ratio
	for i := range 500 {
		l := 0.01 + float64(i)*1e-5
		s.Add(l, 0.4*l)
	}
	if e := s.LogBelow(0.5); !(e > 1000) {
		t.Errorf("below 0.5: %v, want overwhelming evidence", e)
	}
	if b, a := s.LogBelow(0.4), s.LogAbove(0.4); !math.IsInf(b, -1) || !math.IsInf(a, -1) {
		t.Errorf("at the ratio itself: %v, %v, want -Inf both", b, a)
	}
}

func TestRatioWithoutLiveCost(t *testing.T) {
	var s Ratio
	for range 300 {
		s.Add(0, 1)
	}
	if e := s.LogBelow(0.4); !math.IsInf(e, -1) {
		t.Errorf("evidence of a saving without live cost: %v", e)
	}
	if !math.IsInf(s.Upper(0.05), 1) || !math.IsNaN(s.Estimate()) {
		t.Errorf("upper %v, estimate %v, want +Inf and NaN", s.Upper(0.05), s.Estimate())
	}
}

func TestRatioMergeAndMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var whole Ratio
		parts := make([]Ratio, rapid.IntRange(1, 16).Draw(t, "nodes"))
		for i := range 260 {
			l := 0.5 + float64((i*37)%100)/100
			c := l * (0.1 + float64((i*53)%90)/100)
			whole.Add(l, c)
			parts[rapid.IntRange(0, len(parts)-1).Draw(t, "node")].Add(l, c)
		}
		var merged Ratio
		for i := range parts {
			merged.Merge(&parts[len(parts)-1-i])
		}
		r := rapid.Float64Range(0.01, 3).Draw(t, "r")
		if !close9(merged.LogBelow(r), whole.LogBelow(r)) || !close9(merged.LogAbove(r), whole.LogAbove(r)) {
			t.Fatalf("r=%v: merged %v, whole %v", r, merged.LogBelow(r), whole.LogBelow(r))
		}
		if whole.LogBelow(r) > whole.LogBelow(r*1.01)+1e-9 {
			t.Fatalf("evidence for a ratio below r must not fall with r (%v)", r)
		}
	})
}

func TestRatioForecast(t *testing.T) {
	s := Ratio{}
	for i := range 300 {
		s.Add(1, 0.38+0.25*float64((i*7)%11-5)/5)
	}
	more := s.RemainingBelow(0.4, 0.05)
	if more <= 0 {
		t.Fatalf("forecast %v, want some clusters more", more)
	}
	// The same data over and over: the forecast must come true, and no sooner.
	mean, sd := s.moments(0.4)
	at := func(n int64) bool { f := Ratio{N: n}; return mean > sd*f.reach(0.05) }
	if n := s.N + int64(more); !at(n) || at(n-1) {
		t.Errorf("forecast %v more is not the first at which the gate is proven", more)
	}
	if got := s.RemainingBelow(0.2, 0.05); got != -1 {
		t.Errorf("ratio above the limit: forecast %v, want -1 (not on course)", got)
	}
}
