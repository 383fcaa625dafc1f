package canary

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"understudy/internal/journal"
)

var day = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)

// sixGates is the policy of the scenarios, as far as this build's gates reach.
func sixGates() Submodules {
	return Submodules{{Name: "interview/questions", Baseline: "live", Candidates: []string{"cand"}, Criteria: Criteria{Gates: []Gate{
		{"cost_ratio", 0.4}, {"latency_mean_ms", 500}, {"ttft_mean_ms", 300}, {"error_rate", 0.01}, {"check.json", 0.02}, {"check.schema", 0.02},
	}}}}
}

// A scenario is a law of pairs. Its numbers are true means, not limits.
type scenario struct {
	name          string
	conversations int
	// candidate's mean latency and the spread of its logarithm.
	latency, spread float64
	costRatio       float64
	costSpread      float64
	// chance of failure, live and candidate, and of a bad schema of the candidate.
	liveErrors, errors float64
	badSchema          float64
	// pairs a conversation, drawn from 1 to this, and how much of the latency's
	// logarithm they share.
	turns  int
	shared float64
	// from the given share of the run on, the candidate's chance of failure is
	// late. Nothing changes where from is 0.
	from, late float64
	// share of candidate latencies that nobody recorded.
	unknown float64
	// quality, where judges see the pairs: nil where they do not.
	quality *quality
}

func good() scenario {
	return scenario{name: "good", conversations: 4000, latency: 400, spread: 0.5, costRatio: 0.1, costSpread: 0.5,
		liveErrors: 0.005, errors: 0.005, badSchema: 0.002, turns: 3}
}

// observations draws a run: conversations every two minutes, at all hours.
func (s scenario) observations(seed uint64) []Observation {
	rng, judges := rand.New(rand.NewPCG(seed, 99)), rand.New(rand.NewPCG(seed, 98))
	var out []Observation
	for c := range s.conversations {
		start := day.Add(time.Duration(c) * 2 * time.Minute)
		own := rng.NormFloat64()
		first := len(out)
		for turn := range 1 + rng.IntN(s.turns) {
			out = append(out, s.pair(rng, c, turn, start.Add(time.Duration(turn)*40*time.Second), own))
		}
		if s.quality != nil {
			s.quality.judge(judges, out[first:])
		}
	}
	return out
}

func (s scenario) pair(rng *rand.Rand, c, turn int, at time.Time, own float64) Observation {
	bell := math.Sqrt(s.shared)*own + math.Sqrt(1-s.shared)*rng.NormFloat64()
	latency := s.latency * math.Exp(s.spread*bell-s.spread*s.spread/2)
	live := 0.02 * math.Exp(0.5*rng.NormFloat64())
	errors := s.errors
	if s.from > 0 && float64(c) >= s.from*float64(s.conversations) {
		errors = s.late
	}
	o := Observation{
		At: at, ExchangeID: fmt.Sprintf("e%06d-%d", c, turn), Submodule: "interview/questions", Candidate: "cand",
		Conversation: fmt.Sprintf("c%06d", c), Unit: fmt.Sprintf("u%05d", c/3),
		Live: journal.Side{LatencyMS: ptr(850 * math.Exp(0.4*rng.NormFloat64())), TTFTMS: ptr(300.0), CostUSD: &live,
			Error: rng.Float64() < s.liveErrors},
		Trial: journal.Side{LatencyMS: &latency, TTFTMS: ptr(latency / 4),
			CostUSD: ptr(s.costRatio * live * math.Exp(s.costSpread*rng.NormFloat64()-s.costSpread*s.costSpread/2)),
			Error:   rng.Float64() < errors},
	}
	if rng.Float64() < s.unknown {
		o.Trial.LatencyMS = nil
	}
	if !o.Live.Error {
		o.Live.Checks = map[string]bool{"nonempty": true, "json": true, "schema": rng.Float64() >= 0.002}
	}
	if !o.Trial.Error {
		o.Trial.Checks = map[string]bool{"nonempty": true, "json": true, "schema": rng.Float64() >= s.badSchema}
	}
	return o
}

func (s scenario) with(name string, change func(*scenario)) scenario {
	s.name = name
	change(&s)
	return s
}

// limitLatency is the candidate's mean latency for which the gated mean, capped at
// five times the limit and with failed calls at the cap, is exactly 500 ms: found
// by bisection on the closed form of the capped log-normal mean.
func limitLatency(spread, errors float64) float64 {
	phi := func(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }
	capped := func(mean float64) float64 {
		mu := math.Log(mean) - spread*spread/2
		d := (math.Log(2500) - mu) / spread
		return (1-errors)*(mean*phi(d-spread)+2500*(1-phi(d))) + errors*2500
	}
	low, high := 100.0, 900.0
	for range 80 {
		if mid := (low + high) / 2; capped(mid) < 500 {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// scenarios are those of the specification that this build's gates reach; bad
// says that a promotion would be wrong.
func scenarios() (list []scenario, bad map[string]bool) {
	list = []scenario{
		good(),
		good().with("better", func(s *scenario) {
			s.latency, s.costRatio, s.errors = 250, 0.05, 0.001
			s.quality = fair(func(q *quality) { q.shift, q.win, q.loss = 0.01, 0.45, 0.2 })
		}),
		good().with("judged", func(s *scenario) { s.quality = fair(nil) }),
		good().with("clustered", func(s *scenario) { s.turns, s.shared = 9, 0.6 }),
		good().with("worse_errors", func(s *scenario) { s.errors = 0.06 }),
		good().with("too_dear", func(s *scenario) { s.costRatio = 0.6 }),
		good().with("too_slow", func(s *scenario) { s.latency = 2000 }),
		good().with("catastrophe", func(s *scenario) { s.badSchema = 0.06 }),
		good().with("drift_late", func(s *scenario) { s.from, s.late, s.conversations = 0.1, 0.05, 3000 }),
		good().with("missing", func(s *scenario) { s.unknown = 0.08 }),
		good().with("boundary_latency", func(s *scenario) { s.latency = limitLatency(s.spread, s.errors) }),
		good().with("boundary_cost", func(s *scenario) { s.costRatio = 0.4 }),
		good().with("boundary_error", func(s *scenario) { s.errors = s.liveErrors + 0.01 }),
		good().with("boundary_check", func(s *scenario) { s.badSchema, s.errors, s.liveErrors = 0.002+0.02, 0, 0 }),
		good().with("clustered_boundary", func(s *scenario) {
			s.turns, s.shared = 9, 0.6
			s.latency = limitLatency(s.spread, s.errors)
		}),
		good().with("worse_quality", func(s *scenario) { s.quality = fair(func(q *quality) { q.shift = -0.12 }) }),
		good().with("missing_judge", func(s *scenario) { s.quality = fair(func(q *quality) { q.missing = 0.08 }) }),
		good().with("judge_position_bias", func(s *scenario) { s.quality = fair(func(q *quality) { q.controlWin = 0.65 }) }),
		good().with("boundary_score", atLimit(func(q *quality) { q.shift = -0.05 })),
		good().with("boundary_harm", atLimit(func(q *quality) { q.harm = 0.01 })),
		good().with("boundary_win_rate", atLimit(func(q *quality) { q.win, q.loss = 0.25, 0.35 })),
	}
	bad = map[string]bool{}
	for _, s := range list {
		bad[s.name] = !slices.Contains([]string{"good", "better", "judged", "clustered"}, s.name)
	}
	return list, bad
}

// first is the first verdict of a run that is not COLLECTING, looked at every 50
// conversations, with the clusters it took.
func (s scenario) first(seed uint64) (CellLook, error) {
	policy := sixGates()
	if s.quality != nil {
		policy = nineGates()
	}
	looks, err := Analyze(DefaultConfig(), policy, s.observations(seed), 50)
	if err != nil {
		return CellLook{}, err
	}
	for _, l := range looks {
		if l.Cells[0].Verdict != Collecting {
			return l.Cells[0], nil
		}
	}
	return looks[len(looks)-1].Cells[0], nil
}

func codesOf(reasons []string) string {
	out := make([]string, len(reasons))
	for i, r := range reasons {
		out[i] = Code(r)
	}
	return strings.Join(out, " ")
}
