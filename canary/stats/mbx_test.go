package stats

import (
	"encoding/json"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// close9 tells whether two numbers are equal to 1e-9, relative or absolute.
func close9(got, want float64) bool {
	if math.IsInf(got, 0) || math.IsInf(want, 0) {
		return got == want
	}
	return math.Abs(got-want) <= 1e-9*max(1, math.Abs(want))
}

func stateOf(t testing.TB, a, b float64, values []float64) *MBX {
	t.Helper()
	s := NewMBX(a, b)
	for _, x := range values {
		if err := s.Add(x); err != nil {
			t.Fatal(err)
		}
	}
	return &s
}

// grid gives n values on [-0.3125, 0.3125], each a sum of powers of two.
func grid(n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = float64((i*7+3)%11)/16 - 0.3125
	}
	return x
}

// The wanted numbers were computed with 60 decimal digits, products not sums.
func TestMBXGolden(t *testing.T) {
	for _, c := range []struct {
		n                          int
		above, below, lower, upper float64
	}{
		{1, 0, 0.11609123926851187953, -1, 1},
		{5, 0.45799075575505728836, 0.11390496457628235974, -0.55741487933458261497, 0.6149437120361263894},
		{40, 3.4104740671586915527, 3.2858424431462309354, -0.11466963930636767601, 0.11776538485780047659},
		{400, 43.087364014356374646, 42.949364594708985275, -0.027806384153033906121, 0.028139486554838900303},
	} {
		s := stateOf(t, -1, 1, grid(c.n))
		got := []float64{s.LogAbove(-0.125), s.LogBelow(0.125), s.Lower(0.05), s.Upper(0.05)}
		for i, want := range []float64{c.above, c.below, c.lower, c.upper} {
			if !close9(got[i], want) {
				t.Errorf("n=%d, number %d: got %.15g, want %.15g", c.n, i, got[i], want)
			}
		}
	}
}

func TestGammasGolden(t *testing.T) {
	for j, want := range map[int]float64{0: 0.003162277660168379332, 1: 0.0045844825349569044689, 15: 0.83052907109791501913,
		16: 1.2040517722974506785, 30: 218.12712609873652934, 31: 316.2277660168379332} {
		if !close9(gammas[j], want) {
			t.Errorf("gamma %d: got %.15g, want %.15g", j, gammas[j], want)
		}
	}
}

// An independent computation of one e-value: products in 300 bits.
func TestMBXAgainstBigFloat(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	values := make([]float64, 60)
	for i := range values {
		values[i] = rng.Float64()
	}
	s := stateOf(t, 0, 1, values)
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(300).SetFloat64(x) }
	for _, m := range []float64{0.01, 0.25, 0.5, 0.9} {
		sum := num(0)
		for _, g := range gammas {
			product := num(1)
			for _, x := range values {
				up := num(0).Add(num(1), num(0).Mul(num(g), num(x)))
				down := num(0).Add(num(1), num(0).Mul(num(g), num(m)))
				product.Mul(product, up.Quo(up, down))
			}
			sum.Add(sum, product)
		}
		mant, exp := new(big.Float), sum.MantExp(nil)
		sum.MantExp(mant)
		frac, _ := mant.Float64()
		want := math.Log(frac) + float64(exp)*math.Ln2 - math.Log(32)
		if got := s.LogAbove(m); !close9(got, want) {
			t.Errorf("m=%v: got %.15g, want %.15g", m, got, want)
		}
	}
}

// Under the null itself the expected e-value is exactly 1: over all outcomes of
// twelve coins, in both directions.
func TestMBXExpectationIsOne(t *testing.T) {
	const n = 12
	for _, p := range []float64{0.003, 0.05, 0.5, 0.95} {
		above, below := 0.0, 0.0
		for outcome := range 1 << n {
			heads := bits.OnesCount(uint(outcome))
			s := NewMBX(0, 1)
			for i := range n {
				if err := s.Add(float64(outcome >> i & 1)); err != nil {
					t.Fatal(err)
				}
			}
			chance := math.Pow(p, float64(heads)) * math.Pow(1-p, float64(n-heads))
			above += chance * math.Exp(s.LogAbove(p))
			below += chance * math.Exp(s.LogBelow(p))
		}
		if math.Abs(above-1) > 1e-9 || math.Abs(below-1) > 1e-9 {
			t.Errorf("p=%v: E above %.12f, E below %.12f, want 1", p, above, below)
		}
	}
}

func TestMBXMergeAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1, 1), 1, 60).Draw(t, "values")
		nodes := rapid.IntRange(1, 16).Draw(t, "nodes")
		parts := make([]MBX, nodes)
		for i := range parts {
			parts[i] = NewMBX(-1, 1)
		}
		whole := NewMBX(-1, 1)
		for _, x := range values {
			whole.Add(x)
			parts[rapid.IntRange(0, nodes-1).Draw(t, "node")].Add(x)
		}
		order := rapid.Permutation(parts).Draw(t, "order")
		merged := order[0]
		for i := range order[1:] {
			if err := merged.Merge(&order[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if merged.N != whole.N {
			t.Fatalf("merged n %d, want %d", merged.N, whole.N)
		}
		for _, m := range []float64{-0.9, -0.05, 0, 0.3} {
			if !close9(merged.LogAbove(m), whole.LogAbove(m)) || !close9(merged.LogBelow(m), whole.LogBelow(m)) {
				t.Fatalf("m=%v: merged %v %v, whole %v %v", m, merged.LogAbove(m), merged.LogBelow(m), whole.LogAbove(m), whole.LogBelow(m))
			}
		}
	})
}

func TestMBXMonotoneAndBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 40).Draw(t, "values")
		s := NewMBX(0, 1)
		for _, x := range values {
			s.Add(x)
		}
		a := rapid.Float64Range(0, 1).Draw(t, "a")
		b := rapid.Float64Range(a, 1).Draw(t, "b")
		if s.LogAbove(a) < s.LogAbove(b)-1e-9 || s.LogBelow(a) > s.LogBelow(b)+1e-9 {
			t.Fatalf("evidence is not monotone between %v and %v", a, b)
		}
		low, high, mean := s.Lower(0.05), s.Upper(0.05), s.SumLow/float64(s.N)
		if low > mean+1e-9 || high < mean-1e-9 {
			t.Fatalf("bounds %v, %v do not hold the mean %v", low, high, mean)
		}
		if low > 0 && !(s.LogAbove(low) >= math.Log(20)) {
			t.Fatalf("the bound %v itself is not proven", low)
		}
	})
}

func TestMBXRangeIsCautious(t *testing.T) {
	known, ranged := NewMBX(-1, 1), NewMBX(-1, 1)
	for range 50 {
		known.Add(0.2)
		ranged.Add(0.2)
	}
	known.Add(0.2)
	if err := ranged.AddRange(-1, 1); err != nil {
		t.Fatal(err)
	}
	if ranged.LogAbove(0) >= known.LogAbove(0) || ranged.LogBelow(0.5) >= known.LogBelow(0.5) {
		t.Error("a missing value must weaken the evidence in both directions")
	}
}

func TestMBXRefuses(t *testing.T) {
	s := NewMBX(0, 1)
	for name, x := range map[string]float64{"NaN": math.NaN(), "above": 1.1, "below": -0.1, "inf": math.Inf(1)} {
		if s.Add(x) == nil {
			t.Errorf("%s: %v was taken", name, x)
		}
	}
	if diff := cmp.Diff(NewMBX(0, 1), s); diff != "" {
		t.Errorf("a refused value changed the state:\n%s", diff)
	}
	other := NewMBX(0, 2)
	if s.Merge(&other) == nil {
		t.Error("states of different bounds merged")
	}
}

func TestSerialisationIsExact(t *testing.T) {
	s := stateOf(t, -1, 1, grid(333))
	r := Ratio{}
	d := NewDetector(-1, 1, 0.1, true)
	h := Histogram{}
	for i, x := range grid(333) {
		r.Add(1+x, float64(i)/7)
		d.Add(x)
		h.Add(math.Exp(10 * (x + 0.4)))
	}
	check := func(name string, in, out interface {
		MarshalBinary() ([]byte, error)
		UnmarshalBinary([]byte) error
	}, fresh any) {
		b, err := in.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := out.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, out); diff != "" {
			t.Errorf("%s: binary form:\n%s", name, diff)
		}
		if out.UnmarshalBinary(b[1:]) == nil {
			t.Errorf("%s: a short form was taken", name)
		}
		if b, err = json.Marshal(in); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, fresh); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(any(in), fresh); diff != "" {
			t.Errorf("%s: JSON form:\n%s", name, diff)
		}
	}
	check("mbx", s, &MBX{}, &MBX{})
	check("ratio", &r, &Ratio{}, &Ratio{})
	check("detector", &d, &Detector{}, &Detector{})
	check("histogram", &h, &Histogram{}, &Histogram{})
	if b, _ := s.MarshalBinary(); len(b) > 1024 {
		t.Errorf("an MBX state takes %d bytes, at most 1024 are allowed", len(b))
	}
}

func BenchmarkMBXAdd(b *testing.B) {
	s := NewMBX(-1, 1)
	for i := range b.N {
		s.Add(float64(i%17)/17 - 0.5)
	}
}
