package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The wanted numbers were computed with 60 decimal digits in the linear domain.
func TestDetectorGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		high bool
		want float64
	}{
		{"one value", 1, true, -0.10097303570709953487},
		{"200, too high", 200, true, 10.750722594281767778},
		{"200, too low", 200, false, 4.2281046183377394172},
	} {
		d := NewDetector(0, 1, 0.25, c.high)
		for i := range c.n {
			if err := d.Add(float64((i*7+3)%11) / 16); err != nil {
				t.Fatal(err)
			}
		}
		if got := d.LogR(); !close9(got, c.want) {
			t.Errorf("%s: got %.15g, want %.15g", c.name, got, c.want)
		}
	}
}

func TestDetectorStartsEmptyAndRefuses(t *testing.T) {
	d := NewDetector(0, 1, 0.5, true)
	if !math.IsInf(d.LogR(), -1) || d.Up(1) {
		t.Errorf("before any value: ln R = %v, want -Inf", d.LogR())
	}
	if d.Add(math.NaN()) == nil || d.Add(2) == nil {
		t.Error("a value outside the bounds was taken")
	}
}

// Healthy at the limit the detector stays down for some ten thousand values on
// average; at four times the limit it is up within a few hundred.
func TestDetectorDelay(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	run := func(p float64, most int) int {
		d := NewDetector(0, 1, 0.02, true)
		for i := range most {
			x := 0.0
			if rng.Float64() < p {
				x = 1
			}
			if d.Add(x); d.Up(10_000) {
				return i + 1
			}
		}
		return most
	}
	delays, healthy := make([]int, 0, 20), 0
	for range 20 {
		delays = append(delays, run(0.08, 5000))
		healthy += run(0.02, 5000)
	}
	total := 0
	for _, n := range delays {
		total += n
	}
	if total/20 > 200 {
		t.Errorf("mean delay at 8 %% is %d values, want about 110", total/20)
	}
	if healthy/20 < 4000 {
		t.Errorf("mean run at the limit is %d of 5000 values", healthy/20)
	}
}

func TestHolm(t *testing.T) {
	ln := math.Log
	for _, c := range []struct {
		name string
		e    []float64
		k    int
		want []bool
	}{
		{"alone at 20", []float64{ln(20)}, 1, []bool{true}},
		{"just short", []float64{ln(19.99)}, 1, []bool{false}},
		{"two need 40 for the first", []float64{ln(25), ln(39)}, 2, []bool{false, false}},
		{"second needs 20 after the first", []float64{ln(20), ln(40)}, 2, []bool{true, true}},
		{"a configured candidate without data counts", []float64{ln(39)}, 2, []bool{false}},
		{"no evidence", []float64{math.Inf(-1), math.Inf(1)}, 2, []bool{false, true}},
		{"the chain stops", []float64{ln(60), ln(39), ln(30)}, 3, []bool{true, false, false}},
	} {
		if diff := cmp.Diff(c.want, Holm(c.e, c.k, 0.05)); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

func TestHistogram(t *testing.T) {
	for _, c := range []struct {
		x    float64
		want int
	}{{0, 0}, {1, 0}, {1.02, 1}, {1.0201, 2}, {math.Pow(1.02, 300), 300}, {1e9, 699}} {
		if got := Bucket(c.x); got != c.want {
			t.Errorf("bucket of %v: got %d, want %d", c.x, got, c.want)
		}
	}
	var a, b, whole Histogram
	for i := 1; i <= 1000; i++ {
		whole.Add(float64(i))
		if i%3 == 0 {
			a.Add(float64(i))
		} else {
			b.Add(float64(i))
		}
	}
	a.Merge(&b)
	if diff := cmp.Diff(whole, a); diff != "" {
		t.Errorf("merge:\n%s", diff)
	}
	for p, want := range map[float64]float64{0.5: 500, 0.95: 950, 0.99: 990, 1: 1000} {
		if got := whole.Quantile(p); got < want*0.999 || got > want*1.0201 {
			t.Errorf("quantile %v: got %v, want %v to 2 %% above", p, got, want)
		}
	}
	if whole.Mean() != 500.5 {
		t.Errorf("mean: got %v", whole.Mean())
	}
}
