package canary

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"understudy/internal/journal"
)

// worstKept is how many exchanges a cell remembers as its worst.
const worstKept = 5

// failedBadness is what a failed trial weighs; a check that live passed, a loss and
// a whole score weigh 1.
const failedBadness = 4

// Worst is an exchange whose trial fell behind live.
type Worst struct {
	ExchangeID   string    `json:"exchange_id"`
	Conversation string    `json:"conversation"`
	At           time.Time `json:"at"`
	// Why says what was worse, for people.
	Why []string `json:"why"`
	// Badness orders exchanges; its scale has no meaning.
	Badness float64 `json:"badness"`
}

// entered keeps the worst pairs of a cluster, and counts those that were not drawn.
func (f *figures) entered(c *Cluster) {
	for i := range c.Pairs {
		o := &c.Pairs[i]
		if !o.sampled() {
			f.judged.shown.Unsampled++
		}
		if w, bad := worstOf(o); bad {
			f.worst = append(f.worst, w)
		}
	}
	slices.SortFunc(f.worst, func(a, b Worst) int {
		return cmp.Or(cmp.Compare(b.Badness, a.Badness), a.At.Compare(b.At), cmp.Compare(a.ExchangeID, b.ExchangeID))
	})
	f.worst = f.worst[:min(len(f.worst), worstKept)]
}

func worstOf(o *Observation) (w Worst, bad bool) {
	w = Worst{ExchangeID: o.ExchangeID, Conversation: o.Conversation, At: o.At}
	note := func(badness float64, format string, a ...any) {
		w.Badness += badness
		w.Why = append(w.Why, fmt.Sprintf(format, a...))
	}
	if o.lost {
		return w, false
	}
	if o.Trial.Error && !o.Live.Error {
		note(failedBadness, "the trial failed")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Live.Checks)) {
		if trial, has := o.Trial.Checks[name]; o.Live.Checks[name] && has && !trial {
			note(1, "check %s failed, which live passed", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Live.Scores)) {
		trial, has := o.Trial.Scores[name]
		behind := o.Live.Scores[name] - trial
		if lowerIsBetter(name) {
			behind = -behind
		}
		if has && behind > 0 {
			note(behind, "%s %s, live %s", name, short(trial), short(o.Live.Scores[name]))
		}
	}
	if o.Preference != nil && *o.Preference == journal.Loss {
		note(1, "the judge preferred live")
	}
	return w, len(w.Why) > 0
}

// lowerIsBetter tells it of a score by its name.
func lowerIsBetter(score string) bool {
	return score == "harmfulness" || score == "stereotyping" || score == "refusal"
}

func short(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", x), "0"), ".")
}
