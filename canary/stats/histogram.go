package stats

import "math"

// buckets is the number of log buckets; the last edge is 1.02^699, about 17
// minutes in milliseconds.
const buckets = 700

var logStep = math.Log(1.02)

// Histogram counts positive values in fixed log buckets: bucket k holds what is
// at most 1.02^k and more than the edge before it. Counts are additive, and a
// quantile is exact for the bucketed value, 2 % above the true one at most.
// Values above the last edge count there.
type Histogram struct {
	Counts [buckets]int64 `json:"counts"`
	N      int64          `json:"n"`
	Sum    float64        `json:"sum"`
}

// Bucket is the index of the bucket that holds x: the least k in 0..699 with
// 1.02^k >= x. A value that sits on an edge, but for rounding, belongs to it.
func Bucket(x float64) int {
	if !(x > 1) {
		return 0
	}
	return min(buckets-1, max(0, int(math.Ceil(math.Log(x)/logStep-1e-9))))
}

// Edge is the upper edge 1.02^k of a bucket.
func Edge(k int) float64 { return math.Exp(float64(k) * logStep) }

// Add counts one value. Values that are not finite are the caller's to refuse.
func (h *Histogram) Add(x float64) {
	h.Counts[Bucket(x)]++
	h.N++
	h.Sum += x
}

// Merge adds the values of another histogram.
func (h *Histogram) Merge(o *Histogram) {
	for k, n := range o.Counts {
		h.Counts[k] += n
	}
	h.N += o.N
	h.Sum += o.Sum
}

// Mean of the values themselves, not of their buckets; NaN without any.
func (h *Histogram) Mean() float64 {
	if h.N == 0 {
		return math.NaN()
	}
	return h.Sum / float64(h.N)
}

// Quantile is the least edge below which at least the share p of the values
// lies; NaN without any.
func (h *Histogram) Quantile(p float64) float64 {
	if h.N == 0 {
		return math.NaN()
	}
	need := int64(math.Ceil(p*float64(h.N) - 1e-9))
	seen := int64(0)
	for k, n := range h.Counts {
		if seen += n; seen >= need && seen > 0 {
			return Edge(k)
		}
	}
	return Edge(buckets - 1)
}
