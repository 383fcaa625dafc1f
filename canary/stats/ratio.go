package stats

import "math"

// rho2 is (-2 ln 0.1 + ln(1 - 2 ln 0.1)) / 1000, the mixing width of the cost
// test, tuned once for samples of about a thousand clusters.
var rho2 = (-2*math.Log(0.1) + math.Log(1-2*math.Log(0.1))) / 1000

// RatioStart is the number of clusters below which Ratio has no evidence: its
// test rests on the central limit theorem.
const RatioStart = 200

// flat is the share of the size of its terms below which a sum counts as zero:
// what is left is rounding.
const flat = 1e-13

// Ratio is the state of evidence about a ratio of sums, sum C / sum L, of paired
// cluster sums (l, c), both at least 0: the cost ratio. For a ratio r, with
// Z = r l - c, zbar and s its mean and standard deviation, k = n rho2 + 1:
//
//	q = n^2 rho2 (zbar/s)^2 / (2k)
//	ln E(R < r) = ln(2 (e^q - 1) / sqrt k) if zbar > 0, else -Inf
//	R > r: the same with -zbar
//
// It is asymptotic: good for sums with bounded or mild tails, of 200 clusters or
// more, and for nothing else; a single cluster that dominates sum Z^2 must be
// looked for (see Share). Sources: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas
// 2024 (asymptotic confidence sequences), Fieller 1954.
type Ratio struct {
	N  int64   `json:"n"`
	L  float64 `json:"l"`
	C  float64 `json:"c"`
	LL float64 `json:"ll"`
	CC float64 `json:"cc"`
	LC float64 `json:"lc"`
}

// Add takes the sums of one cluster, as billed.
func (s *Ratio) Add(l, c float64) {
	s.N++
	s.L += l
	s.C += c
	s.LL += l * l
	s.CC += c * c
	s.LC += l * c
}

// Merge adds the clusters of another state.
func (s *Ratio) Merge(o *Ratio) {
	s.N += o.N
	s.L += o.L
	s.C += o.C
	s.LL += o.LL
	s.CC += o.CC
	s.LC += o.LC
}

// Estimate is sum C / sum L; NaN without any live cost.
func (s *Ratio) Estimate() float64 {
	if s.L <= 0 {
		return math.NaN()
	}
	return s.C / s.L
}

// LogBelow is the log evidence that the ratio is less than r.
func (s *Ratio) LogBelow(r float64) float64 { return s.logE(r, 1) }

// LogAbove is the log evidence that the ratio is greater than r.
func (s *Ratio) LogAbove(r float64) float64 { return s.logE(r, -1) }

func (s *Ratio) logE(r, sign float64) float64 {
	if s.N < RatioStart {
		return math.Inf(-1)
	}
	mean, sd := s.moments(r)
	mean *= sign
	if !(mean > 0) {
		return math.Inf(-1)
	}
	if sd == 0 {
		return math.Inf(1)
	}
	n := float64(s.N)
	k := n*rho2 + 1
	q := n * n * rho2 * (mean / sd) * (mean / sd) / (2 * k)
	// ln(e^q - 1) = q + ln(1 - e^-q)
	return math.Ln2 + q + math.Log(-math.Expm1(-q)) - math.Log(k)/2
}

// moments are mean and standard deviation of Z = r l - c. What is no more than
// rounding is zero, so that equal costs are neither evidence nor spread.
func (s *Ratio) moments(r float64) (mean, sd float64) {
	n := float64(s.N)
	mean = (r*s.L - s.C) / n
	if math.Abs(mean) <= flat*(r*s.L+s.C)/n {
		mean = 0
	}
	size := (r*r*s.LL + s.CC) / n
	v := (r*r*s.LL-2*r*s.LC+s.CC)/n - mean*mean
	if v <= flat*size {
		return mean, 0
	}
	return mean, math.Sqrt(v)
}

// reach is the half-width of zbar's interval at one-sided level a, in units of s.
func (s *Ratio) reach(a float64) float64 {
	n := float64(s.N)
	k := n*rho2 + 1
	return math.Sqrt(2 * k / (n * n * rho2) * math.Log1p(math.Sqrt(k)/(2*a)))
}

// Upper is the least r at which LogBelow(r) reaches ln(1/alpha), +Inf if none
// does: the one-sided upper bound of the ratio.
func (s *Ratio) Upper(alpha float64) float64 {
	if s.N < RatioStart || s.L <= 0 {
		return math.Inf(1)
	}
	reach := s.reach(alpha)
	inside := func(r float64) bool {
		mean, sd := s.moments(r)
		return mean <= sd*reach
	}
	in := s.Estimate()
	out := max(2*in, 1e-9)
	for range 200 {
		if !inside(out) {
			return bisect(in, out, inside)
		}
		in, out = out, 2*out
	}
	return math.Inf(1)
}

// Lower is the greatest r at which LogAbove(r) reaches ln(1/alpha), 0 if none
// does: the one-sided lower bound of the ratio.
func (s *Ratio) Lower(alpha float64) float64 {
	if s.N < RatioStart || s.L <= 0 {
		return 0
	}
	reach := s.reach(alpha)
	return bisect(s.Estimate(), 0, func(r float64) bool {
		mean, sd := s.moments(r)
		return -mean <= sd*reach
	})
}

// SumZ2 is the sum of Z^2 over the clusters, Z = r l - c.
func (s *Ratio) SumZ2(r float64) float64 {
	return max(0, r*r*s.LL-2*r*s.LC+s.CC)
}

// RemainingBelow forecasts how many more clusters like those so far it takes
// until LogBelow(r) reaches ln(1/alpha): 0 when it has, -1 when not on course.
func (s *Ratio) RemainingBelow(r, alpha float64) float64 {
	if s.LogBelow(r) >= math.Log(1/alpha) {
		return 0
	}
	if s.N < 2 {
		return -1
	}
	mean, sd := s.moments(r)
	if mean <= 0 {
		return -1
	}
	proven := func(n float64) bool {
		at := Ratio{N: int64(n)}
		return n >= RatioStart && mean > sd*at.reach(alpha)
	}
	high := max(float64(s.N), RatioStart)
	for !proven(high) {
		if high *= 2; high > 1e12 {
			return -1
		}
	}
	low := float64(s.N)
	for high-low > 1 {
		mid := math.Floor((low + high) / 2)
		if proven(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high - float64(s.N)
}
