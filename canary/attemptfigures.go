package canary

import (
	"math"

	"understudy/canary/stats"
	"understudy/internal/journal"
	"understudy/llm"
)

// AttemptFigures are what the calls behind a cell's trials looked like.
type AttemptFigures struct {
	// Trials that were tried; RetriedShare of them needed a further call after a failed one.
	Trials       int    `json:"trials"`
	RetriedShare Number `json:"retried_share"`
	// FirstLatencyMS is the mean response time over the FirstAnswered trials whose first
	// call was answered: that of the trial itself is the last call's.
	FirstLatencyMS Number `json:"first_latency_ms"`
	FirstAnswered  int    `json:"first_answered"`
}

// DivergenceFigures tell how often a candidate left the recorded path: its tool calls were
// others than live's, whose results the conversation goes on with.
type DivergenceFigures struct {
	// Turns are the answered pairs in which live or the candidate called tools; Share of
	// them left the path.
	Turns int    `json:"turns"`
	Share Number `json:"share"`
	// Conversations that were tried; ConversationShare of them left the path in some turn.
	Conversations     int    `json:"conversations"`
	ConversationShare Number `json:"conversation_share"`
}

// LagFigures are the times from an exchange to its trial's first call, in milliseconds,
// at most 2 % above the true ones.
type LagFigures struct {
	P50   Number `json:"p50_ms"`
	P99   Number `json:"p99_ms"`
	Count int64  `json:"count"`
}

// attemptFigures count tried trials.
type attemptFigures struct {
	trials, retried int
	first           float64
	answered        int

	turns, diverged int
	// conversations tells by hash whether one left the path.
	conversations map[uint64]bool

	lag lags
}

func newAttemptFigures() attemptFigures {
	return attemptFigures{conversations: map[uint64]bool{}}
}

func (f *attemptFigures) add(t *journal.Trial) {
	f.trials++
	f.lag.add(t.LagMS)
	// An attempt that ended at a limit of ours is no call of the trial's own.
	calls := 0
	for i := range t.Attempts {
		a := &t.Attempts[i]
		if a.Code == journal.CodeOwnLimit {
			continue
		}
		if calls++; calls == 1 && a.Class == llm.ClassOK && a.Measured() {
			f.first += a.LatencyMS
			f.answered++
		}
	}
	if calls > 1 {
		f.retried++
	}
	key := hash64(t.Conversation, map[bool]string{true: t.ExchangeID}[t.Conversation == ""])
	f.conversations[key] = f.conversations[key] || t.Divergence != ""
	if t.Divergence != "" {
		f.diverged++
	}
	if t.Divergence != "" || t.Class == llm.ClassOK && !t.Live.Error && len(t.ToolCalls) > 0 {
		f.turns++
	}
}

func (f *attemptFigures) attempts() AttemptFigures {
	return AttemptFigures{Trials: f.trials, RetriedShare: per(float64(f.retried), f.trials), FirstLatencyMS: per(f.first, f.answered), FirstAnswered: f.answered}
}

func (f *attemptFigures) divergence() DivergenceFigures {
	left := 0
	for _, diverged := range f.conversations {
		if diverged {
			left++
		}
	}
	return DivergenceFigures{Turns: f.turns, Share: per(float64(f.diverged), f.turns),
		Conversations: len(f.conversations), ConversationShare: per(float64(left), len(f.conversations))}
}

// lags are times from milliseconds to days: those above a quarter of an hour are counted
// in seconds.
type lags struct{ short, long stats.Histogram }

// lagShort is below the last edge of a histogram of milliseconds.
const lagShort = 900_000

func (l *lags) add(ms float64) {
	if ms > lagShort {
		l.long.Add(ms / 1000)
	} else {
		l.short.Add(max(0, ms))
	}
}

func (l *lags) quantile(p float64) Number {
	n := l.short.N + l.long.N
	if n == 0 {
		return Unknown()
	}
	need := math.Ceil(p*float64(n) - 1e-9)
	if need <= float64(l.short.N) {
		return Number(l.short.Quantile(need / float64(l.short.N)))
	}
	return Number(1000 * l.long.Quantile((need-float64(l.short.N))/float64(l.long.N)))
}

func (l *lags) show() LagFigures {
	return LagFigures{P50: l.quantile(0.50), P99: l.quantile(0.99), Count: l.short.N + l.long.N}
}
