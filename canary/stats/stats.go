// Package stats holds the arithmetic behind promotion decisions: evidence that
// stays valid however often it is looked at, in states that merge by addition.
//
// Everything here is pure: no clock, no randomness, no input or output. Evidence
// is kept as the natural logarithm of an e-value, a number that reaches 1/alpha
// with probability at most alpha while the claim it speaks against is true
// (Ville's inequality), whenever and however often one looks. -Inf means "no
// evidence at all", 0 "as good as nothing".
package stats

import "math"

// logSumExp is ln(sum of e^x), exact for any size of x and -Inf for no mass.
func logSumExp(x []float64) float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, v)
	}
	if math.IsInf(top, 0) {
		return top
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}

// logOnePlusExp is ln(1 + e^x) without overflow.
func logOnePlusExp(x float64) float64 {
	if x > 0 {
		return x + math.Log1p(math.Exp(-x))
	}
	return math.Log1p(math.Exp(x))
}
