package judge

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// A Labelled is one verdict of a judge on a pair, with a person's label where there
// is one. 0 means that live's answer is better, 1 that the trial's is.
type Labelled struct {
	ID    string `json:"id"`
	Judge string `json:"judge"`
	Group string `json:"group"`
	// Human is 0, 0.5 or 1; nil is not labelled.
	Human *float64 `json:"human"`
	// Preference by order, "lc" with live shown first, "cl" with the trial first,
	// both turned back. An order that is absent was not asked; null was not parsable.
	Preference map[string]*float64 `json:"preference"`
}

// ParseLabelled reads one line.
func ParseLabelled(line []byte) (Labelled, error) {
	var l Labelled
	if err := json.Unmarshal(line, &l); err != nil {
		return l, fmt.Errorf("parse verdict: %w", err)
	}
	if h := l.Human; h != nil && *h != 0 && *h != 0.5 && *h != 1 {
		return l, fmt.Errorf("read verdict: human is %v, and not 0, 0.5, 1 or null", *h)
	}
	asked := false
	for order, p := range l.Preference {
		if order != "lc" && order != "cl" {
			return l, errors.New(`read verdict: preference has an order other than "lc" and "cl"`)
		}
		asked = true
		if p != nil && !(*p >= 0 && *p <= 1) {
			return l, fmt.Errorf("read verdict: preference.%s is %v, outside 0..1", order, *p)
		}
	}
	if !asked {
		return l, errors.New("read verdict: preference has neither lc nor cl")
	}
	return l, nil
}

// A Calibration says how one judge did in one group. Counts are items, rates lie in
// 0..1, unknown numbers are nil.
type Calibration struct {
	Judge    string `json:"judge"`
	Group    string `json:"group"`
	Items    int    `json:"items"`
	Labelled int    `json:"labelled"`
	// Unparsed counts verdicts, of both orders.
	Unparsed int `json:"unparsed"`
	// Correct counts verdicts that equal the label: of each order, of both at once,
	// and merged. An unparsed verdict is never correct.
	Correct struct {
		LC     int `json:"lc"`
		CL     int `json:"cl"`
		Both   int `json:"both"`
		Merged int `json:"merged"`
	} `json:"correct"`
	// Consistent items have the same verdict in both orders, unparsed being one of
	// its own; Decided ones have a merged preference that is no tie.
	Consistent int `json:"consistent"`
	Decided    int `json:"decided"`
	Kappa      struct {
		Human  *float64 `json:"human"`
		Orders *float64 `json:"orders"`
	} `json:"kappa"`
	// WinRate is the mean merged preference of the items whose asked orders were all
	// parsed, StandardError its error with n-1.
	WinRate       *float64 `json:"win_rate"`
	StandardError *float64 `json:"standard_error"`
	Wins          int      `json:"wins"`
	Losses        int      `json:"losses"`
	Draws         int      `json:"draws"`
	// LengthControlled and Corrected are not computed by this build.
	LengthControlled any `json:"length_controlled"`
	Corrected        any `json:"corrected"`
}

// A side of a preference, as a category.
type category int

const (
	unasked category = iota
	unparsed
	liveBetter
	neither
	trialBetter
)

func categoryOf(p *float64, asked bool) category {
	switch {
	case !asked:
		return unasked
	case p == nil:
		return unparsed
	case *p < 0.5:
		return liveBetter
	case *p > 0.5:
		return trialBetter
	}
	return neither
}

// Calibrate says how each judge did in each group, sorted by both.
func Calibrate(list []Labelled) []Calibration {
	type key struct{ judge, group string }
	groups := map[key][]Labelled{}
	for _, l := range list {
		k := key{l.Judge, l.Group}
		groups[k] = append(groups[k], l)
	}
	out := make([]Calibration, 0, len(groups))
	for k, items := range groups {
		c := calibrateGroup(items)
		c.Judge, c.Group = k.judge, k.group
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Calibration) int {
		return cmp.Or(cmp.Compare(a.Judge, b.Judge), cmp.Compare(a.Group, b.Group))
	})
	return out
}

func calibrateGroup(items []Labelled) Calibration {
	c := Calibration{Items: len(items)}
	var human, orders [2][]category
	var merged []float64
	for i := range items {
		l := &items[i]
		lp, lcAsked := l.Preference["lc"]
		cp, clAsked := l.Preference["cl"]
		lc, cl := categoryOf(lp, lcAsked), categoryOf(cp, clAsked)
		for _, o := range []category{lc, cl} {
			if o == unparsed {
				c.Unparsed++
			}
		}
		if lcAsked && clAsked {
			orders[0], orders[1] = append(orders[0], lc), append(orders[1], cl)
			if lc == cl {
				c.Consistent++
			}
		}
		m := mergeOrders(lp, cp, lc, cl)
		c.count(m)
		if m != nil {
			merged = append(merged, *m)
		}
		if l.Human == nil {
			continue
		}
		c.Labelled++
		h := categoryOf(l.Human, true)
		if lcAsked {
			human[0], human[1] = append(human[0], lc), append(human[1], h)
		}
		c.correct(lc, cl, categoryOf(m, m != nil), h)
	}
	c.Kappa.Human, c.Kappa.Orders = kappa(human[0], human[1]), kappa(orders[0], orders[1])
	c.WinRate, c.StandardError = meanAndError(merged)
	return c
}

// mergeOrders is the preference of an item: both orders agree, or it is a tie. One
// that was asked in a single order has that one's. nil where an order was not parsed.
func mergeOrders(lp, cp *float64, lc, cl category) *float64 {
	tie := 0.5
	switch {
	case lc == unparsed || cl == unparsed:
		return nil
	case cl == unasked:
		return lp
	case lc == unasked:
		return cp
	case lc != cl:
		return &tie
	}
	mean := (*lp + *cp) / 2
	return &mean
}

func (c *Calibration) count(m *float64) {
	switch categoryOf(m, m != nil) {
	case trialBetter:
		c.Wins++
		c.Decided++
	case liveBetter:
		c.Losses++
		c.Decided++
	case neither:
		c.Draws++
	}
}

func (c *Calibration) correct(lc, cl, merged, human category) {
	if lc == human {
		c.Correct.LC++
	}
	if cl == human {
		c.Correct.CL++
	}
	if lc == human && cl == human {
		c.Correct.Both++
	}
	if merged == human {
		c.Correct.Merged++
	}
}

// kappa is Cohen's for two raters: (observed - expected agreement) ÷ (1 - expected),
// nil where it is not defined. Source: Cohen 1960.
func kappa(a, b []category) *float64 {
	if len(a) == 0 {
		return nil
	}
	n := float64(len(a))
	same := 0
	counts := map[category][2]int{}
	for i := range a {
		if a[i] == b[i] {
			same++
		}
		ca := counts[a[i]]
		ca[0]++
		counts[a[i]] = ca
		cb := counts[b[i]]
		cb[1]++
		counts[b[i]] = cb
	}
	expected := 0
	for _, c := range counts {
		expected += c[0] * c[1]
	}
	if expected == len(a)*len(a) {
		return nil
	}
	e := float64(expected) / (n * n)
	k := (float64(same)/n - e) / (1 - e)
	return &k
}

func meanAndError(x []float64) (mean, se *float64) {
	if len(x) == 0 {
		return nil, nil
	}
	n, sum := float64(len(x)), 0.0
	for _, v := range x {
		sum += v
	}
	m := sum / n
	if len(x) < 2 {
		return &m, nil
	}
	squares := 0.0
	for _, v := range x {
		squares += (v - m) * (v - m)
	}
	e := math.Sqrt(squares/(n-1)) / math.Sqrt(n)
	return &m, &e
}
