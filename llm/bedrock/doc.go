package bedrock

import (
	"fmt"
	"slices"
	"strings"
)

// Doc is the reference of the translation, in Markdown: what becomes of every
// field of a Chat Completions request, every gap, the family table. It is
// written from the same tables that the translator reads.
func Doc() string {
	var b strings.Builder
	b.WriteString(docHead)
	docFields(&b)
	docGaps(&b)
	docFamilies(&b)
	b.WriteString(docTail)
	return b.String()
}

const docHead = `# Translation: OpenAI Chat Completions to Bedrock Converse

This page is written from the tables in ` + "`llm/bedrock`" + ` by ` + "`make translation-doc`" + `; a test keeps it equal to them.

A request is read into a neutral form and written for the family of the endpoint's model. Whatever does not go out as it was asked is a
*gap*: where it stands (JSON Pointer into the OpenAI request), how much it matters, what was done. A gap of severity *blocking* makes the
pair incomparable: the call is not made. *Semantic* gaps change what the model reads or may do, *cosmetic* ones do not. Gaps travel in the
Trial, and the report sums them for each cell. ` + "`understudy translate`" + ` shows them for a request of yours.

Bytes that pass unchanged: JSON Schemas of tools, arguments of earlier calls, and in answers the arguments of calls: order of keys, white space and
the digits of numbers included. The exceptions have gaps of their own (tool_schema, tool_arguments, schema_keyword, schema_closed). The same
request always gives the same bytes.
`

const docTail = `
## Answers

| Converse | Chat Completions |
|---|---|
| text blocks | ` + "`content`" + `, joined without a separator; null beside calls when there is no text |
| toolUse | ` + "`tool_calls`" + `, arguments byte for byte; no arguments are ` + "`{}`" + ` |
| end_turn, stop_sequence, and any reason that is not known | ` + "`stop`" + `; ` + "`tool_calls`" + ` when there is a call |
| tool_use | ` + "`tool_calls`" + `; ` + "`stop`" + ` when the call was the hidden tool's |
| max_tokens, model_context_window_exceeded | ` + "`length`" + ` |
| content_filtered, guardrail_intervened | ` + "`content_filter`" + ` |
| malformed_model_output, malformed_tool_use | an error (class malformed) |
| usage | ` + "`prompt_tokens`" + ` = inputTokens + cacheRead + cacheWrite; the rest as named. The native stop reason and counts stay in the Trial |
| reasoningContent, citations, blocks of another kind | gaps of the answer, never part of the text |
| an exception or an error frame, a broken frame, an event out of order | an error; in a stream an error event |
| the end without messageStop | an error (class truncated), never ` + "`[DONE]`" + ` |

In a stream the role comes once, in the first chunk; id and name of a call only in the call's first chunk; the finish with messageStop; the usage
chunk only when it was asked for, whichever of messageStop and metadata came first; ` + "`[DONE]`" + ` only after a whole answer.

## A demanded form of answer

` + "`response_format`" + ` of type ` + "`json_schema`" + ` is asked for in the best tier that the model and the request allow, and the tier is written into the Trial:
*native* (outputConfig.textFormat), *tool* (the answer is the arguments of a hidden tool that must be called; only where the request has no
tools of its own and the model does not reason), *instruction* (a sentence in the system text). ` + "`json_object`" + ` is always an instruction. The check ` + "`schema`" + `
validates both sides' answers whatever the tier.

## Capabilities

` + "`[[endpoint]] capabilities`" + ` lifts an entry of the family table (` + "`\"tools\"`" + `) or denies it (` + "`\"!stop_sequences\"`" + `). When a model refuses a call in words that
name an ability, the daemon proposes the change (log, ` + "`status`" + `, trial record) and changes nothing by itself.
`

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
	for _, k := range gapKinds {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", k.code, k.severity, k.action, k.text)
	}
}

func docFamilies(b *strings.Builder) {
	b.WriteString("\n## Families\n\nThe first row of a family whose models fit is used; an ARN carries no model, so `family` then names a family, or the id of the base model.\n" +
		"Abilities that a row does not list are refused or emulated with a gap.\n\n| family | models | abilities | particular | most output tokens | source |\n|---|---|---|---|---|---|\n")
	for _, f := range families {
		models := "all others"
		if len(f.Models) > 0 {
			models = "`" + strings.Join(f.Models, "…`, `") + "…`"
		}
		var can, particular []string
		for _, name := range Capabilities() {
			if *switches[name](&f) {
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
		limit := "?"
		if f.MaxOutput > 0 {
			limit = fmt.Sprint(f.MaxOutput)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", f.Name, models, strings.Join(can, ", "), strings.Join(particular, "; "), limit, f.Source)
	}
}
