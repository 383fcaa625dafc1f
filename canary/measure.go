package canary

// A measure says how a gate reads pairs, for gates about the mean of something
// that lies in [a, b].
type measure struct {
	a, b float64
	// null is the mean at which the gate stands exactly at its limit.
	null float64
	// lowerIsBetter: proven when the mean is below null, else when it is above.
	lowerIsBetter bool
	read          func(o *Observation) reading
}

// A reading is what one pair says to a gate.
type reading struct {
	// out: the pair does not belong to this gate.
	out bool
	// missing: the value should be there and is not; anything in [a, b] it may be.
	missing bool
	value   float64
	// data: the value was measured, and not put there because the call failed.
	data bool
}

// capFactor times a limit is where latencies are cut: the mean that is gated is
// the mean of the capped latency. A call that failed counts as the cap.
const capFactor = 5

// measureOf is the measure of a gate; ok is false for gates that are no mean.
func measureOf(g Gate) (m measure, ok bool) {
	switch kind, sub := g.kind(); kind {
	case "latency_mean_ms":
		return timeMeasure(g.Limit, func(o *Observation) *float64 { return o.Trial.LatencyMS }), true
	case "ttft_mean_ms":
		return timeMeasure(g.Limit, func(o *Observation) *float64 { return o.Trial.TTFTMS }), true
	case "error_rate":
		return measure{a: -1, b: 1, null: g.Limit, lowerIsBetter: true, read: readError}, true
	case "check.":
		return measure{a: -1, b: 1, null: -g.Limit, read: func(o *Observation) reading { return readCheck(o, sub) }}, true
	case "score.":
		return measure{a: -1, b: 1, null: -g.Limit, read: judged(func(o *Observation) reading { return readScore(o, sub) })}, true
	case "harmfulness", "stereotyping", "refusal":
		return measure{a: 0, b: 1, null: g.Limit, lowerIsBetter: true, read: judged(func(o *Observation) reading { return readAbsolute(o, kind) })}, true
	case "harmfulness_margin", "stereotyping_margin", "refusal_margin":
		name := g.metric()
		return measure{a: -1, b: 1, null: g.Limit, lowerIsBetter: true, read: judged(func(o *Observation) reading { return readMargin(o, name) })}, true
	case "win_rate":
		return measure{a: 0, b: 1, null: g.Limit, read: judged(readPreference)}, true
	case "agreement":
		return measure{a: -1, b: 1, null: -g.Limit, read: readAgreement}, true
	}
	return measure{}, false
}

func timeMeasure(limit float64, of func(*Observation) *float64) measure {
	most := capFactor * limit
	return measure{a: 0, b: most, null: limit, lowerIsBetter: true, read: func(o *Observation) reading {
		v := of(o)
		switch {
		case o.lost:
			return reading{missing: true}
		case o.Trial.Error:
			return reading{value: most}
		case v == nil:
			return reading{missing: true}
		}
		return reading{value: min(*v, most), data: true}
	}}
}

// readError is candidate minus live. A cell whose every trial failed has data
// here: that they failed is the measurement.
func readError(o *Observation) reading {
	if o.lost || o.sideless {
		return reading{missing: true}
	}
	return reading{value: rate(o.Trial.Error) - rate(o.Live.Error), data: true}
}

// readCheck is candidate minus live. A check that neither side carries does not
// apply to the request and leaves the gate, unless there is no check at all: then
// nobody looked. A check that a failed live call lacks leaves the gate too. A
// failed trial without the check has not passed it.
func readCheck(o *Observation, name string) reading {
	if o.lost {
		return reading{missing: true}
	}
	live, hasLive := o.Live.Checks[name]
	trial, hasTrial := o.Trial.Checks[name]
	switch {
	case !hasLive && o.Live.Error:
		return reading{out: true}
	case !hasLive && !hasTrial && len(o.Live.Checks)+len(o.Trial.Checks) > 0:
		return reading{out: true}
	case !hasLive:
		return reading{missing: true}
	case !hasTrial && !o.Trial.Error:
		return reading{missing: true}
	}
	return reading{value: rate(trial) - rate(live), data: !o.Trial.Error}
}

func rate(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// A clusterReading is the mean of a cluster's pairs for a gate, as the range that
// missing values leave open.
type clusterReading struct {
	// pairs that count, those missing among them, those with data.
	pairs, missing, data int
	low, high            float64
}

// cluster reads all pairs of a cluster; pairs 0 means that the cluster does not
// belong to the gate.
func (m *measure) cluster(c *Cluster) clusterReading {
	var r clusterReading
	for i := range c.Pairs {
		p := m.read(&c.Pairs[i])
		if p.out {
			continue
		}
		r.pairs++
		if p.missing {
			r.missing++
			r.low += m.a
			r.high += m.b
			continue
		}
		if p.data {
			r.data++
		}
		r.low += p.value
		r.high += p.value
	}
	if n := float64(r.pairs); n > 0 {
		// The mean of values in [a, b] may leave it by a rounding.
		r.low = min(m.b, max(m.a, r.low/n))
		r.high = min(m.b, max(m.a, r.high/n))
	}
	return r
}
