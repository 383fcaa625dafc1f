package stats

import (
	"fmt"
	"math"
)

// bets is J of the specification: how many betting fractions MBX mixes.
const bets = 32

// gammas are the betting fractions 10^(-2.5 + 5j/31), j = 0..31, all of weight
// 1/32. They were fixed before any data was seen and are part of the method.
var gammas = func() (g [bets]float64) {
	for j := range g {
		g[j] = math.Pow(10, -2.5+5*float64(j)/(bets-1))
	}
	return g
}()

var logBets = math.Log(bets)

// MBX (mixture betting, order-free) is the state of evidence about the mean of
// values that lie in [A, B]. With z = (x-A)/(B-A) and z_m = (m-A)/(B-A):
//
//	U_j = sum ln(1 + gamma_j z)        D_j = sum ln(1 + gamma_j (1-z))
//	ln E(mean > m) = ln (1/32) sum_j exp(U_j - n ln(1 + gamma_j z_m))
//	ln E(mean < m) = ln (1/32) sum_j exp(D_j - n ln(1 + gamma_j (1-z_m)))
//
// Valid for every n, every law on [A, B] and every dependence between values,
// if the conditional mean stays on the null's side; under drift it speaks of the
// running mean of the conditional means. Not valid for running intersections.
// Sources: Waudby-Smith & Ramdas 2024 (betting), Orabona & Jun 2024 (mixture).
//
// A value may be known only as a range, where data is missing: U is fed its low
// end and D its high end, so evidence in either direction is the cautious one.
// Sums are plain float64: use it for up to some ten million values.
type MBX struct {
	A float64 `json:"a"`
	B float64 `json:"b"`
	N int64   `json:"n"`

	U [bets]float64 `json:"u"`
	D [bets]float64 `json:"d"`
	// SumLow and SumHigh are the sums of the ends of the ranges, for display;
	// they are equal where nothing is missing.
	SumLow  float64 `json:"sum_low"`
	SumHigh float64 `json:"sum_high"`
}

// NewMBX is the state before any value; a < b are declared, never estimated.
func NewMBX(a, b float64) MBX { return MBX{A: a, B: b} }

// Add takes one value. A NaN or a value outside [A, B] is an error and changes
// nothing.
func (s *MBX) Add(x float64) error { return s.AddRange(x, x) }

// AddRange takes one value that is known to lie in [low, high].
func (s *MBX) AddRange(low, high float64) error {
	if !(low >= s.A && high <= s.B && low <= high) {
		return fmt.Errorf("add value: [%v, %v] is not within [%v, %v]", low, high, s.A, s.B)
	}
	zLow, zHigh := s.unit(low), s.unit(high)
	for j, g := range gammas {
		s.U[j] += math.Log1p(g * zLow)
		s.D[j] += math.Log1p(g * (1 - zHigh))
	}
	s.N++
	s.SumLow += low
	s.SumHigh += high
	return nil
}

// Merge adds the values of another state. Both must declare the same bounds.
func (s *MBX) Merge(o *MBX) error {
	if s.A != o.A || s.B != o.B {
		return fmt.Errorf("merge states: bounds [%v, %v] and [%v, %v] differ", s.A, s.B, o.A, o.B)
	}
	for j := range bets {
		s.U[j] += o.U[j]
		s.D[j] += o.D[j]
	}
	s.N += o.N
	s.SumLow += o.SumLow
	s.SumHigh += o.SumHigh
	return nil
}

// LogAbove is the log evidence that the mean is greater than m, for m in [A, B].
// It falls with m.
func (s *MBX) LogAbove(m float64) float64 { return s.mixture(&s.U, s.unit(m)) }

// LogBelow is the log evidence that the mean is less than m, for m in [A, B].
// It rises with m.
func (s *MBX) LogBelow(m float64) float64 { return s.mixture(&s.D, 1-s.unit(m)) }

// Lower is the one-sided lower bound of the mean at level alpha: the greatest m
// with LogAbove(m) >= ln(1/alpha), or A.
func (s *MBX) Lower(alpha float64) float64 {
	enough := math.Log(1 / alpha)
	if s.LogAbove(s.A) < enough {
		return s.A
	}
	return bisect(s.A, s.B, func(m float64) bool { return s.LogAbove(m) >= enough })
}

// Upper is the one-sided upper bound of the mean at level alpha: the least m
// with LogBelow(m) >= ln(1/alpha), or B.
func (s *MBX) Upper(alpha float64) float64 {
	enough := math.Log(1 / alpha)
	if s.LogBelow(s.B) < enough {
		return s.B
	}
	return bisect(s.B, s.A, func(m float64) bool { return s.LogBelow(m) >= enough })
}

// RemainingAbove forecasts how many more values like those so far it takes until
// LogAbove(m) reaches ln(1/alpha): 0 when it has, -1 when it is not on course.
func (s *MBX) RemainingAbove(m, alpha float64) float64 {
	return s.remaining(&s.U, s.unit(m), s.LogAbove(m), alpha)
}

// RemainingBelow is the same forecast for LogBelow.
func (s *MBX) RemainingBelow(m, alpha float64) float64 {
	return s.remaining(&s.D, 1-s.unit(m), s.LogBelow(m), alpha)
}

func (s *MBX) unit(x float64) float64 { return (x - s.A) / (s.B - s.A) }

func (s *MBX) mixture(sums *[bets]float64, z float64) float64 {
	if s.N == 0 {
		return 0
	}
	var terms [bets]float64
	n := float64(s.N)
	for j, g := range gammas {
		terms[j] = sums[j] - n*math.Log1p(g*z)
	}
	return logSumExp(terms[:]) - logBets
}

// remaining is ceil((ln(1/alpha) - logE) / g) with the growth per value of the
// best bet, g = max_j (sums_j/n - ln(1 + gamma_j z)).
func (s *MBX) remaining(sums *[bets]float64, z, logE, alpha float64) float64 {
	short := math.Log(1/alpha) - logE
	if short <= 0 {
		return 0
	}
	if s.N == 0 {
		return -1
	}
	growth := math.Inf(-1)
	for j, g := range gammas {
		growth = max(growth, sums[j]/float64(s.N)-math.Log1p(g*z))
	}
	if growth <= 0 {
		return -1
	}
	return math.Ceil(short / growth)
}

// bisect finds the last point from in to out at which ok holds; it holds at in
// and, if anywhere, ends holding once on the way.
func bisect(in, out float64, ok func(float64) bool) float64 {
	if ok(out) {
		return out
	}
	for range 60 {
		mid := in + (out-in)/2
		if ok(mid) {
			in = mid
		} else {
			out = mid
		}
	}
	return in
}
