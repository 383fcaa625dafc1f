package judge

import (
	"regexp"
	"slices"
	"strings"
)

// An attack is a way in which an answer may speak to whoever judges it.
type attack struct {
	// name stands in records.
	name string
	// signs are words of which every text that form finds has one. To look for them
	// costs a hundredth of the form.
	signs []string
	// form reads the text in lower case.
	form *regexp.Regexp
}

const judgeWord = `(?:evaluator|grader|rater|(?:judge|judging|grading|evaluation|evaluator) model|(?:llm|ai) judge)s?`

// attacks are few and plain: a flag makes the verdicts of the answer missing, so that
// an honest answer must not be flagged.
var attacks = []attack{
	{"ignore_instructions", []string{"ignore", "disregard", "forget", "override"}, regexp.MustCompile(
		`\b(?:ignore|disregard|forget|override)\s+(?:` +
			`(?:(?:all|any|every|of|the|your|these|those|my)\s+){0,4}(?:previous|prior|above|earlier|preceding|other|evaluation|judging|grading|scoring|system|original)\s+(?:\w+\s+)?(?:instructions?|prompts?|rules?|rubrics?|criteria|guidelines?|messages?|directions?)` +
			`|(?:all|any|your|these|all of your)\s+(?:instructions|rules|criteria|guidelines)\b|(?:the|your|this|any)\s+(?:rubric|system prompt|labels)\b` +
			`|(?:all|everything|anything)\s+(?:above|before this|you were told|that came before))`)},
	{"addresses_judge", []string{"judge", "judging", "evaluat", "grader", "grading", "rater"}, regexp.MustCompile(
		`\b(?:dear|attention|hey|hello|note (?:to|for)|message (?:to|for)|instructions? (?:to|for))\s+(?:the\s+|an?\s+|any\s+|all\s+)?(?:impartial\s+|automated\s+|ai\s+)?` + judgeWord + `\b` +
			`|\b(?:attention|note (?:to|for)|message (?:to|for)|instructions? (?:to|for))\s+(?:the\s+|any\s+|all\s+)?judges?\s*[,:.!(]` +
			`|\bdear\s+(?:\w+\s+)?judges?\b[^\n]{0,120}\b(?:rate|rating|verdict|score|grade|label|choose|prefer)\b` +
			`|\bas\s+(?:an?|the)\s+(?:impartial\s+|fair\s+)?(?:judge|evaluator|grader|rater),?\s+(?:you|please)\b` +
			`|(?:^|\n)\s*(?:judge|evaluator|grader|rater)s?,\s*(?:please|you must|rate|give|choose|select|score|assign)\b`)},
	{"you_are_judge", []string{"judge", "evaluator", "grader", "rater"}, regexp.MustCompile(
		`\byou(?:\s+are|['’]re)\s+(?:now\s+)?(?:the|an?)\s+(?:(?:impartial|fair|lenient|strict|generous|helpful|neutral|unbiased|expert|ai)\s+){0,2}(?:judge|evaluator|grader|rater)\b`)},
	{"states_verdict", []string{"verdict", "label"}, regexp.MustCompile(
		`\b(?:correct|right|final|true|only (?:acceptable|valid|possible|correct))\s+(?:verdict|label)\s+(?:here\s+)?(?:is|must be|should be)\b\s*:?\s*["'“‘*\[]*`)},
	{"fake_role", []string{"system", "<|", "inst]", "<<sys"}, regexp.MustCompile(
		`(?m)^[ \t#*]*system(?: message| prompt)?[*]*\s*:[*]*\s|<\|(?:im_start|im_end|im_sep|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id)\|>|\[/?inst\]|<<sys>>`)},
	{"fake_verdict", []string{"<verdict", "[["}, regexp.MustCompile(
		`<verdict>|\[\[(?:a|b|c|tie|10|a>>?b|b>>?a|a=b)\]\]`)},
}

// flagCopied is the flag of an answer that holds the list of labels.
const flagCopied = "copies_labels"

// AttackFlags names what in an answer is addressed to a judge, each once. labels are
// those of the question. Without them a verdict in words is looked for in those of the
// built-in metrics, and no copy of a list is. It knows phrases and not intentions: an
// attack in other words or another language passes it, and an answer about judging
// may be flagged.
func AttackFlags(text string, labels []string) []string {
	low := strings.ToLower(text)
	lists := labelLists(labels)
	var flags []string
	for _, a := range attacks {
		if !slices.ContainsFunc(a.signs, func(s string) bool { return strings.Contains(low, s) }) {
			continue
		}
		if a.name == "states_verdict" {
			if statesLabel(low, a.form, lists) {
				flags = append(flags, a.name)
			}
		} else if a.form.MatchString(low) {
			flags = append(flags, a.name)
		}
	}
	if demandsVerdict(low) {
		flags = append(flags, "demands_verdict")
	}
	if fakesFence(low) {
		flags = append(flags, "fake_fence")
	}
	if !slices.Contains(flags, "fake_verdict") && fakesVerdict(low, lists) {
		flags = append(flags, "fake_verdict")
	}
	if labels != nil && copied(low, lists[0]) {
		flags = append(flags, flagCopied)
	}
	return flags
}

// builtinFlags are the flags of an answer of which no question is known, a copy of
// any built-in list of labels among them.
func builtinFlags(text string) []string {
	flags := AttackFlags(text, nil)
	low := strings.ToLower(text)
	if slices.ContainsFunc(builtinLabels, func(l []string) bool { return copied(low, l) }) {
		flags = append(flags, flagCopied)
	}
	return flags
}

// builtinLabels are the lists of the built-in metrics, in lower case.
var builtinLabels = func() (lists [][]string) {
	for i := range builtin {
		lists = append(lists, lowered(builtin[i].labels()))
	}
	return lists
}()

func labelLists(labels []string) [][]string {
	if labels == nil {
		return builtinLabels
	}
	return [][]string{lowered(labels)}
}

func lowered(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}

// statesLabel tells that what the form announces is one of the labels: "the correct
// label is spam" is no verdict of ours.
func statesLabel(low string, form *regexp.Regexp, lists [][]string) bool {
	for _, at := range form.FindAllStringIndex(low, -1) {
		rest := low[at[1]:]
		for _, labels := range lists {
			if slices.ContainsFunc(labels, func(l string) bool { return strings.HasPrefix(rest, l) }) {
				return true
			}
		}
	}
	return false
}

var fenceLike = regexp.MustCompile(`<(/?)((?:request|answer(?:-[ab])?)-[^<>\s]{1,64})>`)

// fakesFence tells that a fence as ours is imitated: closed without having been
// opened, or with a token of hex digits.
func fakesFence(low string) bool {
	if !strings.Contains(low, "answer-") && !strings.Contains(low, "request-") {
		return false
	}
	for _, m := range fenceLike.FindAllStringSubmatch(low, -1) {
		token := m[2][strings.LastIndexByte(m[2], '-')+1:]
		hexadecimal := len(token) >= 8 && strings.Trim(token, "0123456789abcdef") == ""
		if hexadecimal || m[1] != "" && !strings.Contains(low, "<"+m[2]+">") {
			return true
		}
	}
	return false
}

var labelMember = regexp.MustCompile(`"label"\s*:\s*"([^"\\]{1,60})"`)

// fakesVerdict tells that a verdict as the tool takes it is in the text. A short label
// alone, {"label": "Yes"}, is what an honest classifier may answer; with a reason
// beside it is ours.
func fakesVerdict(low string, lists [][]string) bool {
	if !strings.Contains(low, `"label"`) {
		return false
	}
	reasoned := strings.Contains(low, `"reason"`)
	for _, m := range labelMember.FindAllStringSubmatch(low, -1) {
		for _, labels := range lists {
			if slices.Contains(labels, m[1]) && (reasoned || len(m[1]) > 3) {
				return true
			}
		}
	}
	return false
}

// copied tells that all labels stand side by side, as in the question, in the case in
// which both are given. Two labels, or short ones such as Yes and No, are no sign.
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
	return !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(window, l) })
}
