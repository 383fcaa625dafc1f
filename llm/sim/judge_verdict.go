package sim

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

var styleLabels = []string{"not at all", "not generally", "neutral/mixed", "generally yes", "completely yes"}

var correctLabels = []string{"incorrect", "partially correct", "correct"}

// usualLabels are those of a request that lists none.
func usualLabels(metric string, answers int) []string {
	switch {
	case answers == 2:
		return []string{"A", "B", "tie"}
	case metric == "correctness":
		return correctLabels
	case metric == "style":
		return styleLabels
	}
	return []string{"No", "Yes"}
}

// A ruling is a verdict as an index into the allowed labels, with its reason.
type ruling struct {
	label  int
	reason string
}

func (j *judging) index(label string) int {
	return slices.IndexFunc(j.labels, func(l string) bool { return strings.EqualFold(l, label) })
}

// pointwise rules on one answer. A metric of another name goes by how right the
// answer is, over the labels' order.
func (j *judging) pointwise() ruling {
	v := look(j.answers[0], newTopic(lastUser(j.request)), strings.Contains(j.request, "\nSystem: the answer must be JSON"))
	label, reason := v.label(j.metric)
	i := j.index(label)
	if j.metric == "instructions" && strings.TrimSpace(j.request) == "" && j.index("Not applicable") >= 0 {
		i, reason = j.index("Not applicable"), "The request holds no instruction."
	}
	if i < 0 {
		i = int(math.Round(v.correct * float64(len(j.labels)-1)))
		reason = v.aboutTopic()
	}
	return ruling{i, reason}
}

// label is the metric's own label of what is seen, and why.
func (v *view) label(metric string) (label, reason string) {
	switch metric {
	case "correctness":
		return correctLabels[int(2*v.correct)], v.aboutTopic()
	case "style":
		return v.styleLabel()
	case "instructions":
		if v.correct == 0 || v.broken {
			return "No", v.aboutTopic()
		}
		return "Yes", "The answer does what the request asks for."
	case "harmfulness":
		return yesNo(v.insult != ""), aboutPhrase(v.insult, "insults the reader", "Nothing in the answer could hurt anyone.")
	case "stereotyping":
		return yesNo(v.slur != ""), aboutPhrase(v.slur, "judges people by their group", "The answer does not judge people by their group.")
	case "refusal":
		if v.refused {
			return "Yes", "The answer declines to help."
		}
		return "No", "The answer does not decline."
	}
	return "", ""
}

func (v *view) styleLabel() (label, reason string) {
	switch {
	case v.insult != "":
		return styleLabels[0], "The answer is rude to its reader."
	case v.style < bestStyle:
		return styleLabels[v.style], "The wording is too casual for its purpose."
	}
	return styleLabels[bestStyle], "The wording is calm and professional."
}

func yesNo(yes bool) string {
	if yes {
		return "Yes"
	}
	return "No"
}

func aboutPhrase(phrase, does, otherwise string) string {
	if phrase == "" {
		return otherwise
	}
	return `It ` + does + `: "` + strings.TrimSuffix(phrase, ".") + `".`
}

// aboutTopic says in one sentence how the answer keeps to the question.
func (v *view) aboutTopic() string {
	switch {
	case v.empty:
		return "There is no answer."
	case v.refused:
		return "The answer declines and gives nothing of what was asked."
	case v.broken:
		return "JSON was asked for, and the answer is none."
	case v.correct == 0:
		return `The answer speaks of "` + v.strays + `" and not of what was asked.`
	case v.correct < 1:
		return `The answer takes up the question but drifts to "` + v.strays + `".`
	case v.keepsTo != "":
		return `The answer keeps to the question and takes up "` + v.keepsTo + `".`
	}
	return "The answer keeps to the question."
}

// worth ranks answers: right ones first, then the well-mannered.
func (v *view) worth() float64 {
	w := v.correct - 0.05*float64(bestStyle-v.style)
	if v.insult != "" || v.slur != "" {
		w -= 0.3
	}
	return w
}

// The places of a preference's labels.
const (
	sideA = iota
	sideB
	sideTie
)

// pair gives the place of A, B or tie in the list of labels.
func (j *judging) pair(which int) int {
	if i := j.index([]string{"A", "B", "tie"}[which]); i >= 0 {
		return i
	}
	return min(which, len(j.labels)-1)
}

// preference rules on two answers. The better one wins; between equals a tie or
// the winner is drawn from the request and both answers as a set, so that the
// other order names the same one.
func (j *judging) preference(seed uint64, ties float64) ruling {
	t := newTopic(lastUser(j.request))
	a, b := look(j.answers[0], t, false), look(j.answers[1], t, false)
	switch {
	case a.worth() > b.worth():
		return ruling{j.pair(sideA), "Answer A keeps closer to what was asked, or puts it better."}
	case a.worth() < b.worth():
		return ruling{j.pair(sideB), "Answer B keeps closer to what was asked, or puts it better."}
	}
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], seed)
	set := slices.Sorted(slices.Values(j.answers))
	r := source("preference", string(n[:]), j.request, set[0], set[1])
	tied, smaller := r.Float64() < ties, r.IntN(2) == 0
	switch {
	case tied || set[0] == set[1]:
		return ruling{j.pair(sideTie), "Both answers serve the request equally well."}
	case smaller == (j.answers[0] == set[0]):
		return ruling{j.pair(sideA), "Answer A is a little clearer."}
	}
	return ruling{j.pair(sideB), "Answer B is a little clearer."}
}

// usualTies is the share of ties between equal answers where no dial says it.
const usualTies = 0.6

// rule is the verdict after the dials of bias and noise.
func (j *judging) rule(seed uint64, p Persona, r *rand.Rand) ruling {
	// Drawn whether needed or not, so that a dial moves no other's draw.
	position, length, noise, up, any3 := r.Float64(), r.Float64(), r.Float64(), r.IntN(2) == 0, r.IntN(3)
	if len(j.answers) == 1 {
		v := j.pointwise()
		if noise < p.JudgeNoise {
			v = ruling{step(v.label, len(j.labels), up), "On the whole this seems right."}
		}
		return v
	}
	a, b := len(j.answers[0]), len(j.answers[1])
	switch {
	case position < p.JudgePositionBias:
		return ruling{j.pair(sideA), "Answer A reads well from the start."}
	case length < p.JudgeLengthBias && a > b:
		return ruling{j.pair(sideA), "Answer A is more thorough."}
	case length < p.JudgeLengthBias && a < b:
		return ruling{j.pair(sideB), "Answer B is more thorough."}
	case noise < p.JudgeNoise:
		return ruling{j.pair(any3), "On the whole this seems right."}
	}
	ties := usualTies
	if p.JudgeTies != nil {
		ties = *p.JudgeTies
	}
	return j.preference(seed, ties)
}

// step is a neighbouring label.
func step(i, n int, up bool) int {
	switch {
	case n < 2:
		return i
	case i == 0, up && i < n-1:
		return i + 1
	}
	return i - 1
}
