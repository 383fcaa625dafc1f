// Package tokens estimates what OpenAI would have billed for a chat completion
// whose stream carried no usage: it renders the request as the model is known to
// read it and counts with the model's own vocabulary, offline.
//
// OpenAI documents the framing of messages and the price of pictures, not the
// form of tools; that form is known from what others measured and from the
// renderer that OpenAI published for its open models. Every rule names its source:
//
//   - the cookbook: openai/openai-cookbook, examples/How_to_count_tokens_with_tiktoken.ipynb
//   - openai-chat-tokens: hmarr/openai-chat-tokens, src and tests, with counts
//     that the service reported in 2023
//   - langchain4j: langchain4j/langchain4j, OpenAiTokenizer, held against the
//     service by its integration tests
//   - harmony: openai/harmony, src/encoding.rs and docs
//   - measured: recorded calls of gpt-4-turbo-2024-04-09 with the usage that the
//     service reported; TestRecorded repeats it where the recordings are at hand
package tokens

import "understudy/llm"

// maxText bounds what is counted, in bytes of text. No model that is known here
// reads as much, so a call beyond it has not succeeded; the bound keeps the time
// and the memory of a hostile request small.
const maxText = 16 << 20

// maxSchemas bounds the schemas among it, which take up to seventy times their size
// while they are read; the service allows far less.
const maxSchemas = 2 << 20

// Estimate counts the tokens of a call that model answered: req as it was sent,
// resp as it arrived. The model is the one that the answer names. Cached tokens
// are not told apart: they are counted at the full price.
//
// ok is false where the count cannot be said: a model without a known vocabulary,
// a model that reasons in hidden tokens (o1, o3, o4, gpt-5), pictures of unknown
// size, files, audio, tools that are no functions, several choices, and fields
// that bill by other rules; also a request of more than 16 MiB of text, or 2 MiB of schemas.
//
// It is an estimate: the service may change its rendering with any snapshot.
// Estimate is safe for concurrent use, keeps no reference to its arguments and
// never fails otherwise.
func Estimate(model string, req *llm.Request, resp *llm.Response) (u llm.Usage, ok bool) {
	f, ok := familyOf(model)
	if !ok || req == nil || resp == nil || billsOtherwise(req) || schemaBytes(req) > maxSchemas || textBytes(req, resp) > maxText {
		return llm.Usage{}, false
	}
	c := counter{family: f}
	u = llm.Usage{InputTokens: c.request(req), OutputTokens: c.answer(req, resp)}
	if c.unknown {
		return llm.Usage{}, false
	}
	return u, true
}

// A counter counts one call.
type counter struct {
	family
	// unknown is set where something cannot be counted; the sums are void then.
	unknown bool
}

func (c *counter) cannotSay() int {
	c.unknown = true
	return 0
}

// billsOtherwise tells of fields beside the neutral form that change what is
// billed: further choices, predictions (rejected ones are billed as output),
// searches, audio, data that the service itself adds (Azure's data_sources), and
// forms of a response format or tool choice that have no neutral meaning. The
// service refuses fields that it does not know, so the list can be closed.
func billsOtherwise(req *llm.Request) bool {
	for _, f := range req.Extra {
		switch f.Path {
		case "/n":
			if string(f.Raw) != "1" {
				return true
			}
		case "/prediction", "/web_search_options", "/audio", "/modalities",
			"/data_sources", "/dataSources", "/enhancements", "/response_format", "/tool_choice":
			return true
		}
	}
	return req.ToolChoice.Mode == "other"
}

// textBytes is how much there is to count, without pictures.
func textBytes(req *llm.Request, resp *llm.Response) int {
	n := len(resp.Text) + len(resp.Refusal) + callBytes(resp.ToolCalls)
	for i := range req.Messages {
		m := &req.Messages[i]
		n += len(m.Name) + callBytes(m.ToolCalls)
		for _, p := range m.Parts {
			n += len(p.Text)
		}
	}
	for i := range req.Tools {
		t := &req.Tools[i]
		n += len(t.Name) + len(t.Description)
	}
	if f := req.ResponseFormat; f != nil {
		n += len(f.Name) + len(f.Description)
	}
	return n + schemaBytes(req)
}

func schemaBytes(req *llm.Request) int {
	n := 0
	for i := range req.Tools {
		n += len(req.Tools[i].Parameters)
	}
	if f := req.ResponseFormat; f != nil {
		n += len(f.Schema)
	}
	return n
}

func callBytes(calls []llm.ToolCall) int {
	n := 0
	for _, c := range calls {
		n += len(c.Name) + len(c.Arguments)
	}
	return n
}
