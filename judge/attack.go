package judge

import (
	"regexp"
	"strings"
)

// attacks are the ways in which an answer may speak to whoever judges it, by the
// name that stands in records. They are few and plain: a flag makes the verdicts of
// the answer missing, so that an honest answer must not be flagged.
var attacks = []struct {
	name string
	form *regexp.Regexp
}{
	{"ignore_instructions", regexp.MustCompile(`(?i)\b(ignore|disregard|forget|override)\s+(all|any|the|your|every|these|those|my)?\s*(of\s+)?(the\s+|your\s+)?(previous|prior|above|earlier|preceding|other|evaluation|judging|grading|system)\s+(instructions?|prompts?|rules?|rubrics?|criteria|guidelines?|messages?)`)},
	{"addresses_judge", regexp.MustCompile(`(?i)\b(dear|attention|note to|message (to|for)|instructions? (to|for)|as)\s+(the\s+|an?\s+|any\s+)?(judge|evaluator|grader|rater|grading model|evaluation model)s?\b`)},
	{"you_are_judge", regexp.MustCompile(`(?i)\byou\s+(are|'re)\s+(now\s+)?(the|an?)\s+(impartial\s+|fair\s+|lenient\s+)?(judge|evaluator|grader|rater)\b`)},
	{"demands_verdict", regexp.MustCompile(`(?i)\b(rate|grade|score|judge|label|mark|evaluate|choose|prefer|select|pick|output|return|respond with|reply with)\s+(this|the above|my|answer [ab]|response [ab])\s*(answer|response|output|reply|completion)?\s*(as|is|:|with|over|to be)?\s*(the\s+)?(best|better|correct|perfect|winner|highest|first|second|10|5|a|b)\b`)},
	{"states_verdict", regexp.MustCompile(`(?i)\b(the\s+)?(correct|right|final|only acceptable)\s+(verdict|label|rating|grade)\s+(is|must be|should be)\b`)},
	{"fake_fence", regexp.MustCompile(`(?i)</?(request|answer(-[ab])?)-?[0-9a-f]*>`)},
	{"fake_role", regexp.MustCompile(`(?m)(^\s*(System|SYSTEM|Developer)\s*:\s)|<\|?(im_start|im_end|system|endoftext|start_header_id)\|?>|\[/?INST\]|<<SYS>>`)},
	{"fake_verdict", regexp.MustCompile(`(?i)"label"\s*:\s*"|<(verdict|label)>|\[\[(a|b|c|tie|10|[ab]>>?[ab])\]\]`)},
}

// AttackFlags names what in an answer is addressed to a judge, each once. A copy of
// the list of labels counts too. It knows phrases, not intentions: an attack in
// other words passes it, and an answer about judging may be flagged.
func AttackFlags(text string, labels []string) []string {
	var flags []string
	for _, a := range attacks {
		if a.form.MatchString(text) {
			flags = append(flags, a.name)
		}
	}
	if copied(text, labels) {
		flags = append(flags, "copies_labels")
	}
	return flags
}

// copied tells that all labels stand side by side, as in the question. Short labels
// such as Yes and No are no sign.
func copied(text string, labels []string) bool {
	length := 0
	for _, l := range labels {
		length += len(l)
	}
	if len(labels) < 3 || length < 20 {
		return false
	}
	i := strings.Index(text, labels[0])
	if i < 0 {
		return false
	}
	window := text[i:min(len(text), i+2*length+20*len(labels))]
	for _, l := range labels {
		if !strings.Contains(window, l) {
			return false
		}
	}
	return true
}
