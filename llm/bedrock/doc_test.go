package bedrock

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"understudy/llm"
)

var update = flag.Bool("update", false, "write docs/translation.md anew")

// TestDoc keeps docs/translation.md equal to the tables.
func TestDoc(t *testing.T) {
	const path = "../../docs/translation.md"
	want := page()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("docs/translation.md is not what the tables say (%v); run make translation-doc", err)
	}
}

// page is docs/translation.md: what becomes of every field of a Chat
// Completions request, every gap, the family table.
func page() string {
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(docHead, "~", "`"))
	docFields(&b)
	docGaps(&b)
	docFamilies(&b)
	var abilities strings.Builder
	for _, name := range Capabilities() {
		fmt.Fprintf(&abilities, "| `%s` | %s |\n", name, switches[name].means)
	}
	fmt.Fprintf(&b, strings.ReplaceAll(docTail, "~", "`"), abilities.String())
	return b.String()
}

const docHead = `# Translation: OpenAI Chat Completions to Bedrock Converse

This page is written from the tables in ~llm/bedrock~ by ~make translation-doc~; a test keeps it equal to them.

A request is read into a neutral form and written for the family of the endpoint's model. Whatever does not go out as it was asked is a
*gap*: where it stands, how much it matters, what was done. A gap of severity *blocking* makes the pair incomparable: the call is not made, and the request
that ~understudy translate~ shows then is for the eye only ("(not sent)" stands in it for what was kept out). *Semantic* gaps change what the model reads or may do, *cosmetic*
ones hardly. Gaps travel in the Trial, and the report sums them for each cell.

A gap's path is a JSON Pointer into the OpenAI request: to the field, to the part or the message whose block it is, or to where a field that is missing would stand. At most 200
gaps of a request are listed (~more_gaps~ then says so); one that blocks is always among them.

Bytes that pass unchanged: JSON Schemas of tools, arguments of earlier calls (but for white space around them), and in answers the arguments of calls: order of keys, white space and
the digits of numbers included. The exceptions have gaps of their own (tool_schema…, tool_arguments, schema_keyword, schema_closed). The same request always gives the same bytes.
A lone surrogate in a string becomes U+FFFD, as in every JSON reader of Go.

The answer is asked for as a stream wherever the model streams, whatever the request says, so that the first-token time exists. A field of a message or of a part that holds nothing
(~[]~, ~{}~, ~""~) is no gap: client libraries write such out.

Not translated yet: requests of the Responses API, and marks for the provider's cache (they are reported as ~cache_mark~; no cachePoint is sent).
`

const docTail = `
## Answers

| Converse | Chat Completions |
|---|---|
| text blocks | ~content~, joined without a separator; null beside calls when there is no text |
| toolUse | ~tool_calls~, arguments byte for byte; no arguments are ~{}~; one of type server_tool_use is no call |
| end_turn, stop_sequence; a reason that is not known, with a gap | ~stop~; ~tool_calls~ when there is a call |
| tool_use | ~tool_calls~; ~stop~ when the call was the hidden tool's |
| max_tokens, model_context_window_exceeded | ~length~ |
| content_filtered, guardrail_intervened | ~content_filter~ |
| malformed_model_output, malformed_tool_use | an error (class malformed) |
| usage | ~prompt_tokens~ = inputTokens + cacheRead + cacheWrite; half a count, or one that is no number of tokens, is none |
| reasoningContent, citations, blocks of another kind | gaps of the answer, never part of the text |
| an exception or an error frame, a broken frame, an event out of order, a call that does not end | an error; in a stream an error event |
| the end without messageStop | an error (class truncated), never ~[DONE]~ |

In a stream the role comes once, in the first chunk; id and name of a call only in the call's first chunk; the finish once nothing can break the answer any more (with the later of
messageStop and metadata, or at the end); the usage chunk only when it was asked for; ~[DONE]~ only after a whole answer.
Names of tools, a hidden tool's call, and stop sequences that the model does not take are put right by the client that made the request. ~understudy translate --to openai~ knows no request and leaves them.

## A demanded form of answer

~response_format~ of type ~json_schema~ is asked for in the best tier that the model and the request allow, and the tier is written into the Trial:
*native* (outputConfig.textFormat; not for schemas with objects that are open by intention, references to themselves, or keywords that are not known to be taken), *tool* (the answer is the arguments of
a hidden tool that must be called; only where the request has no tools of its own, earlier calls or prefill, and the model does not reason, or may be held to a call while it does), *instruction* (a
sentence in the system text). ~json_object~ is always an instruction. The check ~schema~ validates both sides' answers whatever the tier.

## Reasoning

| reasoning_effort | budget (tokens of thinking) | adaptive (outputConfig.effort) | nova (maxReasoningEffort) | flat, nested, config |
|---|---|---|---|---|
| none | off | off, but for the newest | off | nested: none; config: off; flat: cannot be switched off |
| minimal, low | 1024 | low | low | low |
| medium | 2048 | medium | medium | medium |
| high | 4096 | high | medium | high |
| xhigh | 8192 | xhigh where it is known, else high | medium | high |
| max | 16384 | max where it is known, else high | medium | high |

A budget is lowered to fit the limit of the answer, which holds for both at OpenAI as well. Inside a call of its own a Claude with a budget does not think: the signed reasoning that led to it is not in the request.

## Capabilities

~[[endpoint]] capabilities~ lifts an entry of the family table (~"tools"~) or denies it (~"!stop_sequences"~). When a model refuses a call in words that
name an ability, the daemon proposes the change (log, ~status~, trial record) and changes nothing by itself.

| ability | what it says |
|---|---|
%s`

func docFields(b *strings.Builder) {
	b.WriteString("\n## Fields\n\nWhat is not in this table is unknown: dropped with the gap `unknown_field` (parts: `content_part`, blocking).\n\n| field | goes to | gaps |\n|---|---|---|\n")
	for _, r := range fieldRows {
		to := r.to
		if to == "" {
			to = "—"
		}
		kinds := r.gaps
		if r.extra != nil && !slices.Contains(kinds, r.extra) {
			kinds = append(slices.Clone(kinds), r.extra)
		}
		var codes []string
		for _, k := range kinds {
			codes = append(codes, "`"+k.code+"`")
		}
		words := strings.Join(codes, " ")
		if len(r.harmless) > 0 {
			words += ", unless " + strings.Join(r.harmless, " or ")
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", r.path, to, words)
	}
}

func docGaps(b *strings.Builder) {
	b.WriteString("\n## Gaps\n\nThe reason of a gap begins with its code. `preflight_…` are rules of the service that the built request is held against before it is sent.\n\n" +
		"| code | severity | action | meaning |\n|---|---|---|---|\n")
	limit := llm.LimitGap(4096)
	fmt.Fprintf(b, "| `max_tokens_set` | %s | %s | the request names no limit that can be sent; the endpoint's `max_output_tokens` was sent (by the daemon, in place of max_tokens_absent) |\n", limit.Severity, limit.Action)
	for _, k := range gapKinds {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", k.code, k.severity, k.action, k.text)
	}
}

func docFamilies(b *strings.Builder) {
	b.WriteString("\n## Families\n\nThe first row of a family whose models fit is used; an ARN carries no model, so `family` then names a family, or the id of the base model.\n" +
		"Abilities that a row does not list are refused, dropped or emulated with a gap; they are explained below. ? is a limit that no source says: it is not clamped.\n\n| family | models | abilities | particular | most output tokens | source |\n|---|---|---|---|---|---|\n")
	for _, f := range families {
		models := "all others"
		if len(f.Models) > 0 {
			models = "`" + strings.Join(f.Models, "…`, `") + "…`"
		}
		var can, particular []string
		for _, name := range Capabilities() {
			if *switches[name].at(&f) {
				can = append(can, name)
			}
		}
		if f.ToolID9 {
			particular = append(particular, "tool ids of nine letters and digits")
		}
		if f.ToolNameNoDash {
			particular = append(particular, "no dash in tool names")
		}
		if f.PlainSchema {
			particular = append(particular, "only type, properties, required at the top of a schema")
		}
		if f.Reasoning != ReasoningNone {
			particular = append(particular, "reasoning: "+string(f.Reasoning))
		}
		if f.AlwaysReasons {
			particular = append(particular, "reasoning cannot be switched off")
		}
		if f.ForcedWithReasoning {
			particular = append(particular, "may be held to a call while it reasons")
		}
		limit := "?"
		if f.MaxOutput > 0 {
			limit = fmt.Sprint(f.MaxOutput)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", f.Name, models, strings.Join(can, ", "), strings.Join(particular, "; "), limit, f.Source)
	}
}
