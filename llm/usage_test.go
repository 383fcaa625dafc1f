package llm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
)

// converseUsage writes a usage as Converse does: cached and written input beside
// inputTokens, the written split by its lifetime.
func converseUsage(u llm.Usage) string {
	s := fmt.Sprintf(`{"inputTokens":%d,"outputTokens":%d,"totalTokens":%d`, u.InputTokens-u.CachedInputTokens-u.CacheWriteTokens, u.OutputTokens, u.InputTokens+u.OutputTokens)
	if u.CachedInputTokens > 0 {
		s += fmt.Sprintf(`,"cacheReadInputTokens":%d`, u.CachedInputTokens)
	}
	if u.CacheWriteTokens > 0 {
		s += fmt.Sprintf(`,"cacheWriteInputTokens":%d,"cacheDetails":[{"ttl":"5m","inputTokens":%d},{"ttl":"1h","inputTokens":%d}]`,
			u.CacheWriteTokens, u.CacheWriteTokens-u.CacheWrite1hTokens, u.CacheWrite1hTokens)
	}
	return s + "}"
}

// TestUsageNormalForm: what Converse reports becomes the normal form and, written as
// OpenAI reports it, reads back the same, but for the lifetime of the cache, which
// OpenAI's form does not have. The provider's object is kept byte for byte, and
// reasoning stands there only where it was reported.
func TestUsageNormalForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := aUsage(t)
		raw := converseUsage(want)
		resp, err := bedrock.DecodeAnswer([]byte(`{"output":{"message":{"content":[{"text":"x"}]}},"stopReason":"end_turn","serviceTier":{"type":"flex"},"usage":` + raw + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&want, resp.Usage, countsAlone); d != "" || string(resp.Usage.Raw) != raw || resp.ServiceTier != "flex" || resp.Usage.ReasoningTokens != nil {
			t.Fatalf("whole: %+v of tier %q\n%s", resp.Usage, resp.ServiceTier, d)
		}
		s := bedrock.Stream{}
		for _, line := range []string{`{"messageStart":{"role":"assistant"}}`, `{"messageStop":{"stopReason":"end_turn"}}`, `{"metadata":{"usage":` + raw + `,"serviceTier":{"type":"flex"}}}`} {
			if err := s.Line([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		streamed, err := s.Response()
		if d := cmp.Diff(resp.Usage, streamed.Usage); err != nil || d != "" || streamed.ServiceTier != "flex" {
			t.Fatalf("streamed: %v\n%s", err, d)
		}
		if rapid.Bool().Draw(t, "reasoning reported") {
			n := rapid.IntRange(0, want.OutputTokens).Draw(t, "reasoning")
			resp.Usage.ReasoningTokens = &n
		}
		back, err := openai.DecodeResponse(openai.EncodeResponse(resp, 1))
		if err != nil {
			t.Fatal(err)
		}
		plain := *resp.Usage
		plain.CacheWrite1hTokens, plain.Raw, back.Usage.Raw = 0, nil, nil
		if d := cmp.Diff(&plain, back.Usage); d != "" {
			t.Fatalf("as OpenAI: %s", d)
		}
	})
}

// TestUsageThatContradictsItself is unknown: a bill must not be made of it.
func TestUsageThatContradictsItself(t *testing.T) {
	for _, raw := range []string{
		`{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":4}}`,
		`{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":2}}`,
		`{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4,"completion_tokens_details":{"reasoning_tokens":2}}`,
		`{"prompt_tokens":-3,"completion_tokens":1}`,
		`{"prompt_tokens":3.5,"completion_tokens":1}`,
	} {
		resp, err := openai.DecodeResponse([]byte(`{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":` + raw + `}`))
		if err != nil || resp.Usage != nil {
			t.Errorf("%s: %+v, %v", raw, resp.Usage, err)
		}
	}
	resp, err := bedrock.DecodeAnswer([]byte(`{"output":{"message":{"content":[{"text":"x"}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"cacheWriteInputTokens":2,"cacheDetails":[{"ttl":"1h","inputTokens":3}]}}`))
	if err != nil || resp.Usage != nil {
		t.Errorf("more written for an hour than written: %+v, %v", resp.Usage, err)
	}
	// Reasoning beside the completion, as some compatible servers count it: the total tells.
	resp, err = openai.DecodeResponse([]byte(`{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":9,"completion_tokens_details":{"reasoning_tokens":5}}}`))
	if err != nil || resp.Usage == nil || resp.Usage.OutputTokens != 6 || *resp.Usage.ReasoningTokens != 5 {
		t.Errorf("reasoning beside the completion: %+v, %v", resp.Usage, err)
	}
}

// TestRunningSumsAreNoBill: usage that came before the finish is what a server had counted
// so far; only that of the end counts.
func TestRunningSumsAreNoBill(t *testing.T) {
	chunk := func(delta, finish, used string) string {
		return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":%s}],\"usage\":%s}\n\n", delta, finish, used)
	}
	begun := chunk(`{"content":"x"}`, "null", `{"prompt_tokens":9,"completion_tokens":1}`)
	for name, c := range map[string]struct {
		stream string
		want   *llm.Usage
	}{
		"cut":                       {begun, nil},
		"cut after the finish":      {begun + chunk(`{}`, `"stop"`, "null"), nil},
		"with the finish":           {begun + chunk(`{}`, `"stop"`, `{"prompt_tokens":9,"completion_tokens":5}`), &llm.Usage{InputTokens: 9, OutputTokens: 5}},
		"after the finish, alone":   {begun + chunk(`{}`, `"stop"`, "null") + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}\n\n", &llm.Usage{InputTokens: 9, OutputTokens: 5}},
		"never":                     {chunk(`{"content":"x"}`, `"stop"`, "null"), nil},
		"at the end of a cut chunk": {chunk(`{"content":"x"}`, `"stop"`, `{"prompt_tokens":9,"completion_tokens":5}`), &llm.Usage{InputTokens: 9, OutputTokens: 5}},
	} {
		var a openai.Assembler
		_, _ = a.Write([]byte(c.stream))
		_ = a.Close()
		if d := cmp.Diff(c.want, a.Response().Usage, countsAlone); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if has := strings.Contains(string(a.Assembled()), `"usage"`); has != (c.want != nil) {
			t.Errorf("%s: the assembled answer has usage: %t", name, has)
		}
	}
}

// TestServiceTierOfChat: the tier that served stands in the answer, whole and streamed.
func TestServiceTierOfChat(t *testing.T) {
	resp, err := openai.DecodeResponse([]byte(`{"service_tier":"priority","choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}`))
	if err != nil || resp.ServiceTier != "priority" {
		t.Errorf("%+v, %v", resp, err)
	}
	var a openai.Assembler
	_, _ = a.Write([]byte("data: {\"service_tier\":\"flex\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))
	if err := a.Close(); err != nil || a.Response().ServiceTier != "flex" {
		t.Errorf("%+v, %v", a.Response(), err)
	}
	for word, want := range map[string]llm.ServiceTier{"": llm.TierStandard, "auto": llm.TierStandard, "default": llm.TierStandard, "flex": llm.TierFlex, "priority": llm.TierPriority, "scale": "scale"} {
		if got := llm.ServiceTierOf(word); got != want {
			t.Errorf("%q is %q, want %q", word, got, want)
		}
	}
}
