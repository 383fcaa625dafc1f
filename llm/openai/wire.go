package openai

import (
	"bytes"
	"encoding/json"
	"math"

	"understudy/llm"
)

// completion is a chat.completion or a chat.completion.chunk: a chunk has delta
// where the whole answer has message.
type completion struct {
	ID                string          `json:"id"`
	Created           int64           `json:"created"`
	Model             string          `json:"model"`
	SystemFingerprint string          `json:"system_fingerprint"`
	ServiceTier       string          `json:"service_tier"`
	Choices           []choice        `json:"choices"`
	Usage             json.RawMessage `json:"usage"`
	Error             json.RawMessage `json:"error"`
}

type choice struct {
	Index        int     `json:"index"`
	Message      *answer `json:"message"`
	Delta        *answer `json:"delta"`
	FinishReason string  `json:"finish_reason"`
}

// answer is the message of a choice, or a piece of it.
type answer struct {
	Content      *string         `json:"content"`
	Refusal      *string         `json:"refusal"`
	ToolCalls    []toolCall      `json:"tool_calls"`
	FunctionCall *calledFunction `json:"function_call"`
	Audio        json.RawMessage `json:"audio"`
}

type toolCall struct {
	Index    *int            `json:"index"`
	ID       string          `json:"id"`
	Function *calledFunction `json:"function"`
	Custom   json.RawMessage `json:"custom"`
}

type calledFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// usage is OpenAI's count of tokens.
type usage struct {
	PromptTokens        int `json:"prompt_tokens"`
	CompletionTokens    int `json:"completion_tokens"`
	TotalTokens         int `json:"total_tokens"`
	PromptTokensDetails struct {
		CachedTokens     int `json:"cached_tokens"`
		CacheWriteTokens int `json:"cache_write_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionTokensDetails struct {
		ReasoningTokens *int `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// neutralUsage reads a usage object; nil for null and for what is no usage.
func neutralUsage(raw json.RawMessage) *llm.Usage {
	var u *usage
	if len(raw) == 0 || json.Unmarshal(raw, &u) != nil || u == nil {
		return nil
	}
	reasoning := 0
	if r := u.CompletionTokensDetails.ReasoningTokens; r != nil {
		reasoning = *r
	}
	for _, n := range []int{u.PromptTokens, u.CompletionTokens, u.PromptTokensDetails.CachedTokens, u.PromptTokensDetails.CacheWriteTokens, reasoning} {
		if n < 0 || n > math.MaxInt32 {
			return nil // no such number of tokens; the bill is not known
		}
	}
	n := &llm.Usage{
		InputTokens:       u.PromptTokens,
		OutputTokens:      u.CompletionTokens,
		CachedInputTokens: u.PromptTokensDetails.CachedTokens,
		CacheWriteTokens:  u.PromptTokensDetails.CacheWriteTokens,
		ReasoningTokens:   u.CompletionTokensDetails.ReasoningTokens,
		Raw:               bytes.Clone(raw),
	}
	// Some compatible servers count reasoning beside the completion; the total tells.
	if reasoning > 0 && u.TotalTokens == u.PromptTokens+u.CompletionTokens+reasoning {
		n.OutputTokens += reasoning
	}
	if n.Validate() != nil {
		return nil // it contradicts itself
	}
	return n
}

// finishOf is the neutral reason for OpenAI's word: calls make "stop", which stands
// for the call of a named function, tool_calls. A word that is not known is passed
// on as it is.
func finishOf(word string, calls int) llm.FinishReason {
	if word == "function_call" || word == "stop" && calls > 0 {
		return llm.FinishToolCalls
	}
	return llm.FinishReason(word)
}
