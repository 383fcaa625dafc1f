package bedrock

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"understudy/llm"
)

// An outcome is what becomes of a field that has no neutral form.
type outcome struct {
	severity llm.Severity
	action   llm.Action
	reason   string
	// harmless lists the values that ask for nothing.
	harmless []string
}

// outcomes declares every field of Chat Completions that Converse cannot
// express. One that is not listed is unknown, which is a gap as well: no field
// goes lost in silence.
var outcomes = map[string]outcome{
	"n":                  {llm.Blocking, llm.Refused, "n: Converse gives one answer", []string{"1"}},
	"logprobs":           {llm.Blocking, llm.Refused, "logprobs: not available on Converse", []string{"false"}},
	"top_logprobs":       {llm.Blocking, llm.Refused, "top_logprobs: not available on Converse", []string{"0"}},
	"logit_bias":         {llm.Blocking, llm.Refused, "logit_bias: not available on Converse", []string{"{}"}},
	"audio":              {llm.Blocking, llm.Refused, "audio: Converse does not speak", nil},
	"modalities":         {llm.Blocking, llm.Refused, "modalities: Converse answers in text only", []string{`["text"]`}},
	"web_search_options": {llm.Blocking, llm.Refused, "web_search_options: not available on Converse", nil},

	"frequency_penalty": {llm.Semantic, llm.Dropped, "frequency_penalty: not available on Converse", []string{"0", "0.0"}},
	"presence_penalty":  {llm.Semantic, llm.Dropped, "presence_penalty: not available on Converse", []string{"0", "0.0"}},
	"reasoning_effort":  {llm.Semantic, llm.Dropped, "reasoning_effort: not sent; models differ in its meaning", []string{`"none"`}},
	"verbosity":         {llm.Semantic, llm.Dropped, "verbosity: not available on Converse", []string{`"medium"`}},
	"response_format":   {llm.Semantic, llm.Dropped, "response_format: a form without a counterpart on Converse", nil},

	"seed":                   {llm.Cosmetic, llm.Dropped, "seed: not available on Converse", nil},
	"prediction":             {llm.Cosmetic, llm.Dropped, "prediction: not available on Converse; it changes speed alone", nil},
	"service_tier":           {llm.Cosmetic, llm.Dropped, "service_tier: not sent", []string{`"auto"`, `"default"`}},
	"metadata":               {llm.Cosmetic, llm.Dropped, "metadata: not sent", []string{"{}"}},
	"user":                   {llm.Cosmetic, llm.Dropped, "user: not sent", nil},
	"safety_identifier":      {llm.Cosmetic, llm.Dropped, "safety_identifier: not sent", nil},
	"store":                  {llm.Cosmetic, llm.Dropped, "store: not sent; nothing is kept at the provider", []string{"false"}},
	"prompt_cache_key":       {llm.Cosmetic, llm.Dropped, "prompt_cache_key: not sent", nil},
	"prompt_cache_options":   {llm.Cosmetic, llm.Dropped, "prompt_cache_options: not sent", nil},
	"prompt_cache_retention": {llm.Cosmetic, llm.Dropped, "prompt_cache_retention: not sent", nil},
	"stream_options":         {llm.Cosmetic, llm.Dropped, "stream_options: only include_usage has a counterpart", nil},
	"functions":              {llm.Cosmetic, llm.Approximated, "functions: the old form is sent as tools", []string{"[]"}},
	"function_call":          {llm.Cosmetic, llm.Approximated, "function_call: the old form is sent as toolChoice", nil},
}

// extra reports what becomes of the fields without a neutral form, by name.
func (t *translator) extra() {
	for _, key := range slices.Sorted(maps.Keys(t.req.Extra)) {
		if key == "tool_choice" {
			continue // reported with the tools
		}
		path := "/" + strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
		o, known := outcomes[key]
		switch {
		case !known:
			t.gap(path, llm.Semantic, llm.Dropped, "unknown_field: no counterpart on Converse is known")
		case !slices.Contains(o.harmless, compact(t.req.Extra[key])):
			t.gap(path, o.severity, o.action, o.reason)
		}
	}
}

func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return b.String()
}
