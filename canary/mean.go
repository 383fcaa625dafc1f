package canary

import (
	"fmt"
	"math"
	"time"

	"understudy/canary/stats"
)

// driftThreshold is the mean number of conversations between false alarms of a
// gate's drift detector, whatever the law.
const driftThreshold = 10_000

// days is how many UTC days back a gate is watched by day.
const days = 7

// A meanGate is the evidence about one gate on a bounded mean: the total, four
// blocks of the day, the last seven days, and the drift detector.
type meanGate struct {
	gate    Gate
	measure measure

	total  stats.MBX
	blocks [4]stats.MBX
	byDay  map[int64]*stats.MBX
	// latest is the UTC day of the latest cluster of the cell.
	latest int64
	drift  stats.Detector

	missing, data int
	// noise is the control in the trial's place.
	noise stats.MBX
}

func newMeanGate(g Gate, m measure) *meanGate {
	e := &meanGate{gate: g, measure: m, byDay: map[int64]*stats.MBX{}, latest: math.MinInt64,
		total: stats.NewMBX(m.a, m.b), noise: stats.NewMBX(m.a, m.b), drift: stats.NewDetector(m.a, m.b, m.null, m.lowerIsBetter)}
	for i := range e.blocks {
		e.blocks[i] = stats.NewMBX(m.a, m.b)
	}
	return e
}

// fold adds a whole cluster.
func (e *meanGate) fold(c *Cluster) error {
	e.latest = max(e.latest, dayOf(c.Start))
	r := e.measure.cluster(c)
	if r.pairs == 0 {
		return nil
	}
	if err := e.total.AddRange(r.low, r.high); err != nil {
		return fmt.Errorf("fold conversation into gate %s: %w", e.gate.Name, err)
	}
	e.missing += r.missing
	e.data += r.data
	// What the total took, its parts take: they have the same bounds.
	if err := e.blocks[blockOf(c.Start)].AddRange(r.low, r.high); err != nil {
		return err
	}
	if err := e.day(dayOf(c.Start), r); err != nil {
		return err
	}
	if e.measure.lowerIsBetter {
		return e.drift.Add(r.high)
	}
	return e.drift.Add(r.low)
}

// foldNoise adds a cluster of controls. What is missing there says nothing.
func (e *meanGate) foldNoise(c *Cluster) error {
	sum, n := 0.0, 0
	for i := range c.Pairs {
		if p := e.measure.read(&c.Pairs[i]); !p.out && !p.missing {
			sum += p.value
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return e.noise.Add(min(e.measure.b, max(e.measure.a, sum/float64(n))))
}

func (e *meanGate) day(day int64, r clusterReading) error {
	for d := range e.byDay {
		if d <= e.latest-days {
			delete(e.byDay, d)
		}
	}
	if day <= e.latest-days {
		return nil
	}
	s := e.byDay[day]
	if s == nil {
		fresh := stats.NewMBX(e.measure.a, e.measure.b)
		s = &fresh
		e.byDay[day] = s
	}
	return s.AddRange(r.low, r.high)
}

func (e *meanGate) finding(c *Config, gates int) Finding {
	f := Finding{Name: e.gate.Name, Limit: e.gate.Limit, Clusters: int(e.total.N), Missing: e.missing,
		Estimate: Unknown(), Bound: Unknown(), Interval: [2]Number{Unknown(), Unknown()}, Remaining: Unknown(),
		LogProven: Number(e.proven(&e.total)), LogViolated: Number(e.violated(&e.total))}
	if e.total.N > 0 {
		f.Estimate, f.Bound = e.estimate(), e.bound(c.AlphaPromote)
		f.Interval = [2]Number{Number(e.total.Lower(c.AlphaPromote / 2)), Number(e.total.Upper(c.AlphaPromote / 2))}
	}
	f.Status = statusOf(&f, c, gates, e.data)
	if f.Status != NoData {
		f.Remaining = e.remaining(c.AlphaPromote)
	}
	if n := e.noise.N; n > 0 {
		f.Noise = &Noise{Estimate: Number(e.noise.SumLow / float64(n)), Clusters: int(n),
			Interval: [2]Number{Number(e.noise.Lower(c.AlphaPromote / 2)), Number(e.noise.Upper(c.AlphaPromote / 2))}}
	}
	f.guards = guards{strata: e.strata(c.AlphaReject), recent: e.drift.Up(driftThreshold)}
	return f
}

func (e *meanGate) proven(s *stats.MBX) float64 {
	if e.measure.lowerIsBetter {
		return s.LogBelow(e.measure.null)
	}
	return s.LogAbove(e.measure.null)
}

func (e *meanGate) violated(s *stats.MBX) float64 {
	if e.measure.lowerIsBetter {
		return s.LogAbove(e.measure.null)
	}
	return s.LogBelow(e.measure.null)
}

func (e *meanGate) estimate() Number {
	if e.measure.lowerIsBetter {
		return Number(e.total.SumHigh / float64(e.total.N))
	}
	return Number(e.total.SumLow / float64(e.total.N))
}

func (e *meanGate) bound(alpha float64) Number {
	if e.measure.lowerIsBetter {
		return Number(e.total.Upper(alpha))
	}
	return Number(e.total.Lower(alpha))
}

func (e *meanGate) remaining(alpha float64) Number {
	n := e.total.RemainingAbove(e.measure.null, alpha)
	if e.measure.lowerIsBetter {
		n = e.total.RemainingBelow(e.measure.null, alpha)
	}
	if n < 0 {
		return Unknown()
	}
	return Number(n)
}

// strata names the parts that violate the gate by themselves: eleven are watched.
func (e *meanGate) strata(alphaReject float64) []string {
	enough := math.Log((4 + days) / alphaReject)
	var out []string
	for i := range e.blocks {
		if e.violated(&e.blocks[i]) >= enough {
			out = append(out, "hours "+blockName(i))
		}
	}
	for d := e.latest - days + 1; d <= e.latest && len(e.byDay) > 0; d++ {
		if s := e.byDay[d]; s != nil && e.violated(s) >= enough {
			out = append(out, "day "+time.Unix(d*86400, 0).UTC().Format(time.DateOnly))
		}
	}
	return out
}

// statusOf applies the thresholds; gates is the number of the cell's gates.
func statusOf(f *Finding, c *Config, gates, data int) string {
	switch {
	case data == 0:
		return NoData
	case float64(f.LogViolated) >= math.Log(float64(gates)/c.AlphaReject):
		return Violated
	case float64(f.LogProven) >= math.Log(1/c.AlphaPromote):
		return Proven
	}
	return Open
}

// dayOf is the number of the UTC day since 1970.
func dayOf(t time.Time) int64 {
	s := t.Unix()
	if s < 0 {
		s -= 86399
	}
	return s / 86400
}

// blockOf is the block of six hours, by UTC.
func blockOf(t time.Time) int { return t.UTC().Hour() / 6 }

func blockName(i int) string { return fmt.Sprintf("%02d-%02d UTC", 6*i, 6*i+6) }
