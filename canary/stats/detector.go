package stats

import (
	"fmt"
	"math"
)

// Detector is a mixture e-Shiryaev-Roberts detector of a mean that has crossed a
// limit, for values in [A, B]. With R_j = 0 at the start and each value z:
//
//	R_j <- (R_j + 1) (1 + gamma_j z) / (1 + gamma_j z_m)
//
// and it is up while (1/32) sum_j R_j >= threshold. The mean number of values to
// a false alarm is at least the threshold, whatever the law, while the
// conditional mean stays within the limit. It depends on the order of values and
// does not merge. Source: Shin, Ramdas & Rinaldo 2023 (e-detectors).
type Detector struct {
	A float64 `json:"a"`
	B float64 `json:"b"`
	// Limit is the mean under the null, in [A, B].
	Limit float64 `json:"limit"`
	// TooHigh watches for a mean above the limit, else for one below it.
	TooHigh bool `json:"too_high"`
	// R holds ln(1 + R_j), which is 0 at the start and always finite.
	R [bets]float64 `json:"r"`
}

// NewDetector watches values in [a, b] for a mean above the limit (tooHigh), or
// below it.
func NewDetector(a, b, limit float64, tooHigh bool) Detector {
	return Detector{A: a, B: b, Limit: limit, TooHigh: tooHigh}
}

// Add takes the next value. A NaN or a value outside [A, B] is an error and
// changes nothing.
func (d *Detector) Add(x float64) error {
	if !(x >= d.A && x <= d.B) {
		return fmt.Errorf("watch value: %v is not within [%v, %v]", x, d.A, d.B)
	}
	z, zm := (x-d.A)/(d.B-d.A), (d.Limit-d.A)/(d.B-d.A)
	if !d.TooHigh {
		z, zm = 1-z, 1-zm
	}
	for j, g := range gammas {
		d.R[j] = logOnePlusExp(d.R[j] + math.Log1p(g*z) - math.Log1p(g*zm))
	}
	return nil
}

// LogR is ln (1/32) sum_j R_j, -Inf before the first value.
func (d *Detector) LogR() float64 {
	var terms [bets]float64
	for j, r := range d.R {
		if r > 30 {
			terms[j] = r // ln(e^r - 1) is r to the last bit
			continue
		}
		terms[j] = math.Log(math.Expm1(r))
	}
	return logSumExp(terms[:]) - logBets
}

// Up tells whether the detector stands at its threshold or above it now.
func (d *Detector) Up(threshold float64) bool { return d.LogR() >= math.Log(threshold) }
