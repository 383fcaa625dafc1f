package judge

import (
	"regexp"
	"strings"
)

const (
	answerWord = `(?:answer|response|output|reply|completion|submission)`
	shownWord  = answerWord + ` \(?[ab]\)?`
	bestWord   = `(?:best|better|correct|perfect|winner|highest|maximum|superior|excellent|top|100|10|5|yes|a|b)\b`
)

// demand is a demand for a verdict, in lower case with single spaces.
var demand = regexp.MustCompile(`^(?:` +
	`(?:rate|grade|score|judge|label|mark|evaluate|rank) (?:this|the above|my|the following|` + shownWord + `) (?:` + answerWord + ` )?(?:as|with|at|an?) (?:the |an? )?["'“*]*` + bestWord +
	`|(?:choose|prefer|select|pick|declare) (?:this|my|the above) ` + answerWord + `\b` +
	`|(?:choose|prefer|select|pick|declare) ` + shownWord + ` (?:over|as|because|regardless)\b` +
	`|(?:give|assign|award) (?:this|my|the above|it|` + shownWord + `) (?:` + answerWord + ` )?(?:the |an? )?(?:highest|maximum|top|full|perfect|best) (?:possible )?(?:score|rating|marks?|grade|label)\b` +
	`|(?:this|my|above) ` + answerWord + ` (?:deserves|should|must) (?:be )?(?:get|receive|given|rated|scored|win|the|a)\b` +
	`|(?:output|return|respond with|reply with|answer with|choose|select) (?:only )?(?:the )?(?:label|verdict|rating) ?[:=]? ?["'“‘])`)

// demandWords begin a demand; demandObjects follow them.
var (
	demandWords = setOf("rate", "grade", "score", "judge", "label", "mark", "evaluate", "rank", "choose", "prefer", "select", "pick", "declare",
		"give", "assign", "award", "this", "my", "above", "output", "return", "respond", "reply", "answer")
	demandObjects = setOf("this", "the", "my", "it", "answer", "response", "output", "reply", "completion", "submission", "with", "only", "label", "verdict", "rating")
)

func setOf(words ...string) map[string]bool {
	set := map[string]bool{}
	for _, w := range words {
		set[w] = true
	}
	return set
}

// demandLength is how many words a demand takes.
const demandLength = 12

// demandsVerdict looks closer only where two words begin a demand: the form over a
// whole answer takes a hundred times as long.
func demandsVerdict(low string) bool {
	words := strings.Fields(low)
	for i := 0; i+1 < len(words); i++ {
		w := strings.TrimLeft(words[i], `"'“‘*_([{-.,;:<>`)
		if !demandWords[w] || !demandObjects[strings.TrimRight(words[i+1], `:="'“‘`)] {
			continue
		}
		if demand.MatchString(w + " " + strings.Join(words[i+1:min(len(words), i+demandLength)], " ")) {
			return true
		}
	}
	return false
}
