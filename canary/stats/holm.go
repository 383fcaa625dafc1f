package stats

import (
	"math"
	"slices"
)

// Holm tells which of the claims are accepted together at level alpha in a
// family of k (k >= len(logE)), by e-Holm: sorted by falling e-value, the r-th is
// accepted while e >= (k-r+1)/alpha. The chance that any false claim is ever
// accepted is at most alpha, whatever the dependence. Equal e-values keep the
// order in which they were given. Source: Holm 1979 with e-values for p-values,
// Vovk & Wang 2021.
func Holm(logE []float64, k int, alpha float64) []bool {
	order := make([]int, len(logE))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case logE[a] > logE[b]:
			return -1
		case logE[a] < logE[b]:
			return 1
		}
		return 0
	})
	k = max(k, len(logE))
	accepted := make([]bool, len(logE))
	for r, i := range order {
		if !(logE[i] >= math.Log(float64(k-r)/alpha)) {
			break
		}
		accepted[i] = true
	}
	return accepted
}
