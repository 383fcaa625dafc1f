package llm_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"understudy/llm"
	"understudy/llm/openai"
)

var update = flag.Bool("update", false, "write docs/errors.md anew")

// TestErrorsDocumented keeps docs/errors.md equal to the tables.
func TestErrorsDocumented(t *testing.T) {
	const path = "../docs/errors.md"
	want := errorsPage()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("docs/errors.md is not what the tables say (%v); run make errors-doc", err)
	}
}

// meanings say what a class stands for.
var meanings = map[llm.Class]string{
	llm.ClassOverloaded:     "5xx, model not ready, the model's own error",
	llm.ClassTimeout:        "deadline, silence before or inside an answer, the model's timeout",
	llm.ClassTruncated:      "the answer ended without its terminal event",
	llm.ClassStream:         "an exception or a broken frame inside a stream",
	llm.ClassMalformed:      "the answer does not have the wire's form, or the model wrote a malformed call",
	llm.ClassNetwork:        "no connection, or reset before an answer",
	llm.ClassInvalid:        "the provider refused the request as invalid",
	llm.ClassContext:        "the request is longer than the model's context",
	llm.ClassFiltered:       "the provider's filter stopped the call",
	llm.ClassThrottled:      "429: too many at once",
	llm.ClassQuota:          "what was bought is used up",
	llm.ClassAccess:         "401, 403, no access to the model; a region that is not allowed",
	llm.ClassNotFound:       "unknown model or deployment, wrong address",
	llm.ClassUntranslatable: "the endpoint's wire cannot express the request; nothing was sent",
	llm.ClassCancelled:      "the caller went away",
}

const errorsHead = `# Failures

One class for each decision that a caller takes. This page is written from the tables (~llm/policy.go~, ~llm/openai/encode_error.go~) by ~make errors-doc~; a test keeps it equal, and another
(~TestFailures~) drives the real clients through every exception, status, exception inside a stream and cut of the simulators and compares class, decisions and envelope.

- **Shadow**: *trial* stands as a failed trial; *retry* is asked again first (~[replay] attempts~), then stands; *no trial* says nothing about the model: the endpoint pauses, ~status~ and the log say why. A
  network failure is retried and, should it last, no trial either.
- **Live** (the fallback chain): *next* lets another endpoint answer, *region, next* first the same endpoint in its other region, *stands* is the call's end. *Breaker* counts against the endpoint.
- **Told** is OpenAI's envelope: status, type, code. Live, nobody is told of our own credentials, configuration or quotas as if they were his. A provider's own status of the 500s, or its 401, stays in what
  is told in shadow. A provider's text never travels: it may quote a prompt. Class, status, code and request id do.

| class | means | shadow | live | breaker | told | told live |
|---|---|---|---|---|---|---|
`

const errorsTail = `
## From the wire

Bedrock's errors are told apart by name, in an answer or in a frame of a stream, then by status; a ~ModelErrorException~ by the status with which the model itself failed (400, 413, 422 invalid; 408, 504
timeout; 429 throttled; else overloaded). A ~ValidationException~ about the prompt's length is ~context~. OpenAI's are told apart by code and type, then by status. A stream that ends without its terminal
event is ~truncated~ on both wires, whatever came before.

## The fallback chain

~llm.Chain~ is a client over one to three endpoints (the part that serves users will use it; nothing in this build does yet).

- It asks in order, within one deadline. A link that another endpoint can stand in for must begin its answer within ~FirstContent~, and within its share of the deadline; an answer of which nothing can be shown before it is whole has that share.
- It commits itself with the first content. What fails before goes on to the next link; what fails after is the call's failure: never two models in one answer, never a finish that was not there.
- A request that an endpoint cannot express (a blocking gap) is not sent there.
- Each link has a circuit breaker for each region: it opens at a share of failures, or of answers slow to begin, over a moving window, and closes after probes that do well. The last link that can express the
  request is asked whatever its breaker says.
- Every activation is counted by from, to and reason. A caller who goes away, or whose own deadline is over, is no failure.
- ~Response.Tries~ names the endpoints that were asked before the one that answered: each may bill its call as well.

How it does with 20,000 requests in each of ten cases: [measured.md](measured.md), ~make bench-fallback~.
`

func errorsPage() string {
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(errorsHead, "~", "`"))
	for _, c := range llm.Classes() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", c, meanings[c], shadowWord(c), liveWord(c), yes(c.CountsAgainst()),
			toldWord(openai.RefusalOf(&llm.Error{Class: c})), toldWord(openai.LiveRefusalOf(&llm.Error{Class: c})))
	}
	b.WriteString(strings.ReplaceAll(errorsTail, "~", "`"))
	return b.String()
}

func shadowWord(c llm.Class) string {
	switch {
	case c == llm.ClassUntranslatable:
		return "not comparable"
	case c == llm.ClassCancelled:
		return "comes again"
	}
	return map[string]string{"p": "no trial", "r": "retry", "s": "trial"}[shadowOf(c)]
}

func liveWord(c llm.Class) string {
	switch {
	case c.FallsOver() && c.OtherRegion():
		return "region, next"
	case c.FallsOver():
		return "next"
	}
	return "stands"
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func toldWord(r openai.Refusal) string {
	if r.Status == 0 {
		return "nobody"
	}
	words := []string{fmt.Sprint(r.Status), r.Type}
	if r.Code != "" && r.Code != r.Type {
		words = append(words, "`"+r.Code+"`")
	}
	return strings.Join(words, " ")
}
