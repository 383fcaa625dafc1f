package llm

import (
	"encoding/json"
	"fmt"
)

// Usage counts the tokens of a call in one normal form: all input is in
// InputTokens and all output in OutputTokens, as OpenAI reports them; Bedrock
// reports cached input beside the rest. Tokens of different vendors' models are not
// the same unit: what they cost is.
type Usage struct {
	InputTokens  int `json:"input_tokens"`
	OutputTokens int `json:"output_tokens"`
	// CachedInputTokens were read from the provider's cache, CacheWriteTokens
	// written to it; both are inside InputTokens.
	CachedInputTokens int `json:"cached_input_tokens,omitempty"`
	CacheWriteTokens  int `json:"cache_write_tokens,omitempty"`
	// CacheWrite1hTokens are those of CacheWriteTokens that are kept for an hour.
	CacheWrite1hTokens int `json:"cache_write_1h_tokens,omitempty"`
	// ReasoningTokens are inside OutputTokens; nil where the provider does not tell.
	ReasoningTokens *int `json:"reasoning_tokens,omitempty"`
	// Estimated tells that the counts are ours, from the texts, because the
	// provider told none.
	Estimated bool `json:"estimated,omitempty"`
	// Raw is the provider's own object, as received; nil where it is kept elsewhere.
	Raw json.RawMessage `json:"raw,omitempty"`
}

// Validate reports counts that contradict each other or are no counts.
func (u *Usage) Validate() error {
	reasoning := 0
	if u.ReasoningTokens != nil {
		reasoning = *u.ReasoningTokens
	}
	for _, n := range []int{u.InputTokens, u.OutputTokens, u.CachedInputTokens, u.CacheWriteTokens, u.CacheWrite1hTokens, reasoning} {
		if n < 0 {
			return fmt.Errorf("usage: %d is no number of tokens", n)
		}
	}
	switch {
	case u.CachedInputTokens+u.CacheWriteTokens > u.InputTokens:
		return fmt.Errorf("usage: %d tokens of cached and written input are more than all input, %d", u.CachedInputTokens+u.CacheWriteTokens, u.InputTokens)
	case u.CacheWrite1hTokens > u.CacheWriteTokens:
		return fmt.Errorf("usage: %d tokens written for an hour are more than all written, %d", u.CacheWrite1hTokens, u.CacheWriteTokens)
	case reasoning > u.OutputTokens:
		return fmt.Errorf("usage: %d tokens of reasoning are more than all output, %d", reasoning, u.OutputTokens)
	}
	return nil
}
