package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A candidate that sits exactly at its margin must not be promoted, and someone
// looks after every single conversation. Fixed seeds; the specification's bar is
// 0.05 plus three standard errors.
func TestFalsePromotionAtTheMargin(t *testing.T) {
	const runs, clusters = 150, 1000
	bar := 0.05 + 3*math.Sqrt(0.05*0.95/runs)
	for name, draw := range map[string]func(*rand.Rand) float64{
		// Each law has mean -0.05 on [-1, 1].
		"shifted": func(r *rand.Rand) float64 { return max(-1, min(1, -0.05+0.17*r.NormFloat64())) },
		"catastrophe": func(r *rand.Rand) float64 {
			if r.Float64() < 0.05 {
				return -1
			}
			return 0
		},
		"ternary": func(r *rand.Rand) float64 {
			switch u := r.Float64(); {
			case u < 0.15:
				return -1
			case u < 0.25:
				return 1
			}
			return 0
		},
	} {
		rng := rand.New(rand.NewPCG(11, 13))
		promoted := 0
		for range runs {
			s := NewMBX(-1, 1)
			for range clusters {
				s.Add(draw(rng))
				if s.LogAbove(-0.05) >= math.Log(20) {
					promoted++
					break
				}
			}
		}
		if got := float64(promoted) / runs; got > bar {
			t.Errorf("%s: promoted in %.3f of the runs, at most %.3f is allowed", name, got, bar)
		}
	}
}

// The cost gate at its limit: log-normal cluster costs, a look after every
// cluster.
func TestFalsePromotionOfCost(t *testing.T) {
	const runs, clusters = 150, 1500
	bar := 0.05 + 3*math.Sqrt(0.05*0.95/runs)
	rng := rand.New(rand.NewPCG(17, 19))
	promoted := 0
	for range runs {
		var s Ratio
		for range clusters {
			l := math.Exp(0.5 * rng.NormFloat64())
			s.Add(l, 0.4*l*math.Exp(0.3*rng.NormFloat64()-0.045))
			if s.LogBelow(0.4) >= math.Log(20) {
				promoted++
				break
			}
		}
	}
	if got := float64(promoted) / runs; got > bar {
		t.Errorf("promoted in %.3f of the runs, at most %.3f is allowed", got, bar)
	}
}

// Power: equal models, margin 0.05, spread 0.17 need about a hundred clusters.
func TestPowerOfEqualModels(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 29))
	const runs = 200
	decided := 0
	for range runs {
		s := NewMBX(-1, 1)
		for range 165 {
			s.Add(max(-1, min(1, 0.17*rng.NormFloat64())))
		}
		if s.LogAbove(-0.05) >= math.Log(20) {
			decided++
		}
	}
	if got := float64(decided) / runs; got < 0.78 {
		t.Errorf("proven in %.2f of the runs after 165 clusters, want 0.8 after 150", got)
	}
}

// At half-way the forecast is within a factor of two of the truth more often
// than not.
func TestForecastIsUseful(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 37))
	const runs = 60
	within := 0
	for range runs {
		s, n := NewMBX(-1, 1), 0
		forecasts := []float64{}
		for s.LogAbove(-0.05) < math.Log(20) && n < 3000 {
			s.Add(max(-1, min(1, 0.3*rng.NormFloat64())))
			forecasts = append(forecasts, s.RemainingAbove(-0.05, 0.05))
			n++
		}
		half := forecasts[n/2-1]
		if total := float64(n/2) + half; half >= 0 && total <= 2*float64(n) && total >= float64(n)/2 {
			within++
		}
	}
	if float64(within)/runs < 0.6 {
		t.Errorf("forecast within a factor of two in %d of %d runs", within, runs)
	}
}
