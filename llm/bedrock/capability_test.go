package bedrock

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCapabilities(t *testing.T) {
	f := family(t, "", llama3).WithCapabilities([]string{"tools", "!system", "unheard"})
	if !f.Tools || f.System || f.Images {
		t.Errorf("got %+v", f)
	}
	if err := CheckCapabilities([]string{"tools", "!stop_sequences"}); err != nil {
		t.Error(err)
	}
	if err := CheckCapabilities([]string{"tool", "!!tools"}); err == nil || len(Capabilities()) != len(switches) {
		t.Errorf("got %v, %v", err, Capabilities())
	}
}

// TestProposal takes the words of the service as users have reported them.
func TestProposal(t *testing.T) {
	const model = "The model returned the following errors: "
	everything := Family{}
	for _, one := range switches {
		*one.at(&everything) = true
	}
	for words, want := range map[string]string{
		"This model doesn't support the stopSequences field. Remove stopSequences and try again.":                                                             "!stop_sequences",
		model + "`temperature` and `top_p` cannot both be specified for this model. Please use only one.":                                                     "!temperature_with_top_p",
		model + "`temperature` is deprecated for this model.":                                                                                                 "!sampling",
		"This model doesn't support the temperature field. Remove temperature and try again.":                                                                 "!sampling",
		"This model doesn't support tool use in streaming mode.":                                                                                              "!stream_with_tools",
		"This model doesn't support tool use.":                                                                                                                "!tools",
		"This model doesn't support the toolConfig.toolChoice.any field. Remove toolConfig.toolChoice.any and try again.":                                     "!tool_choice_any",
		model + `tool_choice: type "tool" and "any" are not supported for this model.`:                                                                        "!tool_choice_any",
		"This model doesn't support the toolConfig.toolChoice.tool field. Remove toolConfig.toolChoice.tool and try again.":                                   "!tool_choice_tool",
		"This model doesn't support system messages. Try again without a system message or use a model that supports system messages.":                        "!system",
		"This model doesn't support the image field for user messages. Remove image and try again.":                                                           "!images",
		"This model doesn't support the image content block that you provided. Update the content block and try again.":                                       "!images",
		"This model doesn't support the document content block that you provided. Update the content block and try again.":                                    "!documents",
		model + "This model does not support assistant message prefill. The conversation must end with a user message.":                                       "!prefill",
		"The model that you are using requires the last turn in the conversation to be a user message. Add a user message to the conversation and try again.": "!prefill",
		model + "output_config.format: Extra inputs are not permitted":                                                                                        "!structured_output",
		model + "tools.0.custom.strict: Extra inputs are not permitted":                                                                                       "!strict",
		"messages.2.content: Conversation blocks and tool result blocks cannot be provided in the same turn.":                                                 "!tool_result_with_text",
		"messages.1.content: Conversation blocks and tool use blocks cannot be provided in the same turn.":                                                    "!call_with_text",
		"A conversation must alternate between user and assistant roles.":                                                                                     "",
		"Please tell me whether this model supports tools":                                                                                                    "",
	} {
		if got := everything.Proposal(words); got != want {
			t.Errorf("%q: got %q, want %q", words, got, want)
		}
		if got := (Family{}).Proposal(words); got != "" {
			t.Errorf("%q: the table says so already, got %q", words, got)
		}
	}
}

func TestFamilyOf(t *testing.T) {
	cases := []struct {
		family, model string
		want          []string // family and the beginning of its models
	}{
		{"", "us.anthropic.claude-opus-4-6-v1", []string{"claude", "anthropic.claude-sonnet-4-6"}},
		{"", "anthropic.claude-opus-4-20250514-v1:0", []string{"claude", "anthropic.claude-opus-4-2"}},
		{"", "anthropic.claude-sonnet-4-7", []string{"claude", "anthropic.claude-opus"}},
		{"", "global.anthropic.claude-opus-5-5", []string{"claude", "anthropic.claude-opus-5-5"}},
		{"", "anthropic.claude-opus-5", []string{"claude", "anthropic.claude-opus-4-8"}},
		{"", "anthropic.claude-opus-4-1-20250805-v1:0", []string{"claude", "anthropic.claude-opus-4-1"}},
		{"", "anthropic.claude-opus-9", []string{"claude", "anthropic.claude-opus"}},
		{"llama", "anthropic.claude-opus-5", nil},
		{"claude", "arn:aws:bedrock:us-east-1:1:application-inference-profile/x", []string{"claude"}},
		{"anthropic.claude-v2:1", "arn:aws:bedrock:us-east-1:1:application-inference-profile/x", []string{"claude", "anthropic.claude-v2"}},
		{"us.meta.llama4-scout-17b", "arn:aws:bedrock:us-east-1:1:provisioned-model/x", []string{"llama", "meta.llama3-2-11b"}},
		{"", "openai.gpt-oss-20b-1:0", []string{"openai", "openai.gpt-oss"}},
		{"", "openai.gpt-6-sol", []string{"openai"}},
		{"", "moonshotai.kimi-k2.5", []string{"kimi", "moonshotai.kimi-k2.5"}},
		{"", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2", nil},
		{"", "gpt-4o", nil},
		{"unheard", "anthropic.claude-v2", nil},
	}
	for _, c := range cases {
		f, ok := FamilyOf(c.family, c.model)
		var got []string
		if ok {
			got = append([]string{f.Name}, f.Models[:min(1, len(f.Models))]...)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q %q (-want +got):\n%s", c.family, c.model, diff)
		}
	}
	// A row behind one of which its models are a beginning would never be reached.
	for i, f := range families {
		for _, model := range f.Models {
			if got, _ := FamilyOf("", model); got.Source != families[i].Source || got.Name != f.Name {
				t.Errorf("%s is taken by the row of %v", model, got.Models)
			}
		}
		if f.Source == "" {
			t.Errorf("row %d, %s %v, has no source", i, f.Name, f.Models)
		}
	}
}
