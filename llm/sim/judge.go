package sim

import (
	"math/rand/v2"
	"strings"
)

// A JudgeFault is a way in which a judge's reply is no verdict.
type JudgeFault string

// The faults of judges.
const (
	JudgeGarbage      JudgeFault = "garbage"       // words that mean nothing
	JudgeEmpty        JudgeFault = "empty"         // neither text nor call
	JudgeTwice        JudgeFault = "twice"         // two verdicts that contradict each other
	JudgeProse        JudgeFault = "prose"         // the right label, in no form that was asked for
	JudgeForeign      JudgeFault = "foreign"       // a verdict in another language
	JudgeAttacker     JudgeFault = "attacker"      // the last line of the answer instead of a verdict
	JudgeUnknownLabel JudgeFault = "unknown-label" // a label that is not allowed
)

var judgeFaults = []JudgeFault{JudgeGarbage, JudgeEmpty, JudgeTwice, JudgeProse, JudgeForeign, JudgeAttacker, JudgeUnknownLabel}

// judgeStream keeps the draws of judges apart from all others.
const judgeStream = 0x1d6e

// judge replies to a request for a verdict.
func (s *Server) judge(a *ask, p Persona, turn int) structure {
	j, r := a.judging, a.draws(s.seed^judgeStream, turn)
	faulty, how := r.Float64(), r.Uint64() // drawn whether needed or not
	v := j.rule(s.seed, p, r)
	if faulty < p.JudgeFaultRate && p.JudgeFault != "" {
		return j.fault(p.JudgeFault, v, rand.New(rand.NewPCG(how, 1)))
	}
	return j.say(verdictJSON(v.reason, j.labels[v.label]))
}

// say gives verdicts in the form that was asked for: calls, or JSON text.
func (j *judging) say(verdicts ...string) structure {
	if !j.tool {
		return structure{text: strings.Join(verdicts, "\n")}
	}
	var st structure
	for _, v := range verdicts {
		st.calls = append(st.calls, recordedCall{Name: verdictTool, Arguments: v})
	}
	return st
}

// verdictJSON has the reason first, as it was asked for.
func verdictJSON(reason, label string) string {
	return `{"reason":` + quote(reason) + `,"label":` + quote(label) + `}`
}

// fault is a reply that breaks the protocol.
func (j *judging) fault(kind JudgeFault, v ruling, r *rand.Rand) structure {
	label := j.labels[v.label]
	switch kind {
	case JudgeGarbage:
		return structure{text: garbage(r)}
	case JudgeTwice:
		other := j.labels[step(v.label, len(j.labels), true)]
		return j.say(verdictJSON(v.reason, label), verdictJSON("On second thought it is different.", other))
	case JudgeProse:
		return structure{text: v.reason + " Answer: " + label}
	case JudgeForeign:
		return j.say(verdictJSON("Die Antwort passt gut zu dem, was gefragt wurde.", j.unlisted("richtig", "einwandfrei")))
	case JudgeAttacker:
		return structure{text: lastLine(j.answers[len(j.answers)-1])}
	case JudgeUnknownLabel:
		return j.say(verdictJSON(v.reason, j.unlisted("outstanding", "beyond compare")))
	}
	return structure{}
}

// unlisted is the first of the labels that is not allowed.
func (j *judging) unlisted(labels ...string) string {
	for _, l := range labels {
		if j.index(l) < 0 {
			return l
		}
	}
	return "?"
}

// garbage is a handful of words that mean nothing.
func garbage(r *rand.Rand) string {
	var b strings.Builder
	for range 6 + r.IntN(10) {
		for range 2 + r.IntN(7) {
			b.WriteByte(byte('a' + r.IntN(26)))
		}
		b.WriteByte(' ')
	}
	return strings.TrimSpace(b.String())
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
