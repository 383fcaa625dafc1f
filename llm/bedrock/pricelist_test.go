package bedrock

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"understudy/internal/vendorspec"
	"understudy/llm"
)

// product writes one product as the price list does.
func product(attributes map[string]string, unit, usd, description string) string {
	b, _ := json.Marshal(map[string]any{
		"product": map[string]any{"productFamily": "Amazon Bedrock", "sku": "SKU", "attributes": attributes},
		"terms": map[string]any{"OnDemand": map[string]any{"SKU.T": map[string]any{"priceDimensions": map[string]any{"SKU.T.D": map[string]any{
			"unit": unit, "description": description, "pricePerUnit": map[string]string{"USD": usd}, "beginRange": "0", "endRange": "Inf", "appliesTo": []string{},
		}}}}},
		"serviceCode": "AmazonBedrock", "version": "20260901205051", "publicationDate": "2026-09-01T20:50:51Z",
	})
	return string(b)
}

func attributes(pairs ...string) map[string]string {
	m := map[string]string{"regionCode": "eu-west-1", "location": "EU (Ireland)"}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// priceSamples are products of each service, in two pages for the first.
func priceSamples(service, token string) (items []string, next string) {
	haiku := "Claude Haiku 4.5 (Amazon Bedrock Edition)"
	switch service + token {
	case "AmazonBedrock":
		return []string{
			product(attributes("usagetype", "EUW1-NovaPro-output-tokens", "model", "Nova Pro", "provider", "Amazon", "inferenceType", "Output tokens"), "1K tokens", "0.0032000000",
				"$0.0032 per 1K tokens for NovaPro-output-tokens in EU (Ireland)"),
			product(attributes("usagetype", "EUW1-Guardrail-TextUnits"), "Units", "0.1", "$0.1 per 1K text units"),
		}, "page 2"
	case "AmazonBedrockpage 2":
		return []string{product(attributes("usagetype", "EUW1-NovaPro-input-tokens-flex", "model", "Nova Pro", "provider", "Amazon"), "1K tokens", "0.0004000000", "")}, ""
	case "AmazonBedrockFoundationModels":
		return []string{
			product(attributes("usagetype", "EUW1-MP:EUW1_CacheWrite1hInputTokenCount_Global-Units", "servicename", haiku), "1M tokens", "2.0000000000", ""),
			product(attributes("usagetype", "EUW1-MP:EUW1_InputTokenCount-Units", "servicename", haiku), "Units", "1.1000000000",
				"AWS Marketplace software usage|eu-west-1|Million Input Tokens Regional"),
			product(attributes("usagetype", "EUW1-MP:EUW1_OutputTokenCount-Units", "servicename", haiku), "Units", "5.5000000000", "AWS Marketplace software usage|eu-west-1|Output Tokens"),
		}, ""
	}
	return nil, ""
}

func priceServer(t *testing.T) (*[]controlCall, PriceService) {
	seen, address := serveCalls(t, "pricing", "us-east-1", func(c controlCall, _ int) string {
		var in struct{ ServiceCode, NextToken string }
		_ = json.Unmarshal(c.body, &in)
		items, next := priceSamples(in.ServiceCode, in.NextToken)
		answer := map[string]any{"FormatVersion": "aws_v1", "PriceList": items}
		if next != "" {
			answer["NextToken"] = next
		}
		b, _ := json.Marshal(answer)
		return string(b)
	})
	return seen, PriceService{Credentials: signed().Provider, BaseURL: address}
}

func TestPriceList(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_ENDPOINT_URL_PRICING", "http://127.0.0.1:1")
	seen, from := priceServer(t)
	got, err := PriceList(t.Context(), from, "eu-west-1", "")
	if err != nil {
		t.Fatal(err)
	}
	haiku := ListedPrice{Service: "AmazonBedrockFoundationModels", Region: "eu-west-1", Model: "Claude Haiku 4.5 (Amazon Bedrock Edition)", Tier: "standard"}
	write, input, output := haiku, haiku, haiku
	write.UsageType, write.Counts, write.Scope = "EUW1-MP:EUW1_CacheWrite1hInputTokenCount_Global-Units", "cache_write_1h", "global"
	write.Unit, write.USD, write.USDPerMillion, write.Understood = "1M tokens", "2.0000000000", "2", true
	input.UsageType, input.Counts, input.Description = "EUW1-MP:EUW1_InputTokenCount-Units", "input", "AWS Marketplace software usage|eu-west-1|Million Input Tokens Regional"
	input.Unit, input.USD, input.USDPerMillion, input.Understood = "Units", "1.1000000000", "1.1", true
	output.UsageType, output.Counts, output.Description = "EUW1-MP:EUW1_OutputTokenCount-Units", "output", "AWS Marketplace software usage|eu-west-1|Output Tokens"
	output.Unit, output.USD, output.USDPerMillion = "Units", "5.5000000000", "0"
	nova := ListedPrice{Service: "AmazonBedrock", Region: "eu-west-1", Model: "Nova Pro", Provider: "Amazon", Unit: "1K tokens", Understood: true}
	flex, plain := nova, nova
	flex.UsageType, flex.Counts, flex.Tier, flex.USD, flex.USDPerMillion = "EUW1-NovaPro-input-tokens-flex", "input", "flex", "0.0004000000", "0.4"
	plain.UsageType, plain.Counts, plain.Tier, plain.USD, plain.USDPerMillion = "EUW1-NovaPro-output-tokens", "output", "standard", "0.0032000000", "3.2"
	plain.Description = "$0.0032 per 1K tokens for NovaPro-output-tokens in EU (Ireland)"
	if diff := cmp.Diff([]ListedPrice{flex, plain, write, input, output}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(*seen) != 4 {
		t.Errorf("asked %d times, want 4: two pages of the first service, one of each other", len(*seen))
	}
	for _, c := range *seen {
		if c.fault != "" || c.method != "POST" || c.path != "/" || c.header.Get("X-Amz-Target") != "AWSPriceListService.GetProducts" || c.header.Get("Content-Type") != "application/x-amz-json-1.1" {
			t.Errorf("asked %+v", c)
		}
	}
	if got, err := PriceList(t.Context(), from, "eu-west-1", "nova FLEX"); err != nil || !cmp.Equal(got, []ListedPrice{flex}) {
		t.Errorf("filtered: %v, %v", got, err)
	}
}

// TestPriceRequest: what is asked, and what the fake answers, is what the service
// definition allows.
func TestPriceRequest(t *testing.T) {
	seen, from := priceServer(t)
	if _, err := PriceList(t.Context(), from, "eu-west-1", ""); err != nil {
		t.Fatal(err)
	}
	const want = `{"Filters":[{"Field":"regionCode","Type":"TERM_MATCH","Value":"eu-west-1"}],"FormatVersion":"aws_v1","MaxResults":100,"NextToken":"page 2","ServiceCode":"AmazonBedrock"}`
	if got := string((*seen)[1].body); got != want {
		t.Errorf("asked\n got %s\nwant %s", got, want)
	}
	spec := vendorspec.Pricing(t)
	for _, c := range *seen {
		for _, fault := range spec.Check("GetProductsRequest", c.body) {
			t.Errorf("GetProductsRequest%s", fault)
		}
	}
	items, _ := priceSamples("AmazonBedrock", "")
	answer, _ := json.Marshal(map[string]any{"FormatVersion": "aws_v1", "PriceList": items, "NextToken": "page 2"})
	for _, fault := range spec.Check("GetProductsResponse", answer) {
		t.Errorf("GetProductsResponse%s", fault)
	}
}

// TestUsageTypes reads usage types that users of the price list have published.
func TestUsageTypes(t *testing.T) {
	for _, c := range []struct{ usage, counts, tier, scope string }{
		{"USE1-NovaPro-input-tokens", "input", "standard", ""},
		{"USE1-Claude2.0-input-tokens", "input", "standard", ""},
		{"USE1-Llama4-Maverick-17B-input-tokens-batch", "input", "batch", ""},
		{"USE1-GPT-OSS-Safeguard-20B-input-tokens-priority", "input", "priority", ""},
		{"USE1-GPT-OSS-Safeguard-120B-output-tokens-batch", "output", "batch", ""},
		{"USE1-Claude3-5Haiku-input-tokens-latency-optimized", "input", "latency", ""},
		{"USE1-Nova2.0Lite-input-tokens-cross-region-global-batch", "input", "batch", "global"},
		{"USE1-Nova2.0Pro-text-input-tokens-priority-cross-region-global", "input", "priority", "global"},
		{"USE1-Claude4.6Opus-cache-read-input-token-count-cross-region-global", "cache_read", "standard", "global"},
		{"USE1-Claude4Sonnet-input-tokens-cross-region", "input", "standard", "geo"},
		{"USW2-openai.gpt-oss-20b-mantle-input-tokens-standard", "input", "standard", ""},
		{"USE1-xai.grok-4.6-mantle-cache-read-tokens-standard", "cache_read", "standard", ""},
		{"USE1-NovaLite-cacheread-tokens", "cache_read", "standard", ""},
		{"USW2-MP:USW2_InputTokenCount-Units", "input", "standard", ""},
		{"USW2-MP:USW2_InputTokenCount_Batch-Units", "input", "batch", ""},
		{"USW2-MP:USW2_OutputTokenCount_Global-Units", "output", "standard", "global"},
		{"USW2-MP:USW2_CacheReadInputTokenCount-Units", "cache_read", "standard", ""},
		{"USW2-MP:USW2_CacheWriteInputTokenCount_Global-Units", "cache_write_5m", "standard", "global"},
		{"USW2-MP:USW2_CacheWrite1hInputTokenCount-Units", "cache_write_1h", "standard", ""},
		{"USW2-MP:USW2_cache_write_tokens_1h_global_standard-Units", "cache_write_1h", "standard", "global"},
		{"USW2-MP:USW2_cache_write_tokens_30m_standard-Units", "cache_write_30m", "standard", ""},
		{"USW2-MP:USW2_input_tokens_standard-Units", "input", "standard", ""},
		{"USW2-MP:USW2_output_tokens_global_standard-Units", "output", "standard", "global"},
		{"USW2-MP:USW2_Reserved_1Month_TPM_InputTokenCount-Units", "", "reserved", ""},
		{"USW2-MP:USW2_ProvisionedThroughput_1MonthCommit_ModelUnits_Usage-Units", "", "reserved", ""},
		{"USE1-NovaSonic-speech-input-tokens", "", "standard", ""},
		{"USE1-TitanText-Express-training-tokens", "", "standard", ""},
		{"USE1-cohere.rerank-english-v3-search-units", "", "standard", ""},
		{"", "", "standard", ""},
	} {
		l := ListedPrice{UsageType: c.usage}
		l.readUsageType()
		if l.Counts != c.counts || l.Tier != c.tier || l.Scope != c.scope || l.LongContext {
			t.Errorf("%s: got %q, %q, %q, long %t; want %q, %q, %q", c.usage, l.Counts, l.Tier, l.Scope, l.LongContext, c.counts, c.tier, c.scope)
		}
	}
	long := ListedPrice{UsageType: "USW2-MP:USW2_input_tokens_long_ctx_global_standard-Units"}
	if long.readUsageType(); !long.LongContext || long.Counts != "input" || long.Scope != "global" {
		t.Errorf("long context: %+v", long)
	}
}

func TestPerMillion(t *testing.T) {
	for _, c := range []struct{ usd, unit, description, want string }{
		{"0.0032000000", "1K tokens", "", "3.2"},
		{"0.000035", "1k token", "", "0.035"},
		{"0.00003605", "1,000 tokens", "", "0.03605"},
		{"4.4000000000", "1M tokens", "per 1K", "4.4"},
		{"12", "Million tokens", "", "12"},
		{"0.0000011", "tokens", "", "1.1"},
		{"0", "1K tokens", "", "0"},
		{"100", "1M tokens", "", "100"},
		{"1.1", "Units", "AWS Marketplace software usage|us-east-1|Million Input Tokens", "1.1"},
		{"1.1", "Units", "$1.1 per 1M cache read input tokens", "1.1"},
		{"0.0011", "units", "$0.0011 per 1,000 Output Tokens", "1.1"},
		// Not understood: never guessed.
		{"1.1", "Units", "Input Tokens", ""},
		{"1.1", "Units", "per 1K tokens, or 1M tokens", ""},
		{"1.1", "Units", "1M context window", ""},
		{"1.1", "Units", "21M tokens", ""},
		{"1.1", "hour", "Million Input Tokens", ""},
		{"1.1", "1K TPM-hour", "", ""},
		{"1.1", "", "", ""},
		{"", "1K tokens", "", ""},
		{"1e3", "1K tokens", "", ""},
		{"-1", "1K tokens", "", ""},
		{"1/3", "1K tokens", "", ""},
	} {
		got, ok := perMillion(c.usd, c.unit, c.description)
		want := c.want
		if want == "" {
			want = "0"
		}
		if got != want || ok != (c.want != "") {
			t.Errorf("%s for %q, %q: got %s, %t; want %q", c.usd, c.unit, c.description, got, ok, c.want)
		}
	}
}

// TestPerMillionIsExact: for any decimal what is shown is the price times the
// factor, to the last digit.
func TestPerMillionIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		usd := rapid.StringMatching(`[0-9]{1,6}(\.[0-9]{1,12})?`).Draw(t, "usd")
		unit := rapid.SampledFrom([]string{"1K tokens", "1M tokens", "tokens"}).Draw(t, "unit")
		factor := map[string]int64{"1K tokens": 1000, "1M tokens": 1, "tokens": 1_000_000}[unit]
		got, ok := perMillion(usd, unit, "")
		if !ok {
			t.Fatalf("%s is not understood", usd)
		}
		price, _ := new(big.Rat).SetString(usd)
		shown, _ := new(big.Rat).SetString(got)
		if shown.Cmp(price.Mul(price, big.NewRat(factor, 1))) != 0 {
			t.Fatalf("%s per %s: shown %s", usd, unit, got)
		}
		if strings.Contains(got, ".") && strings.HasSuffix(got, "0") {
			t.Fatalf("%s has zeros at its end", got)
		}
	})
}

func TestPriceListErrors(t *testing.T) {
	fails := func(status int, name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"__type":"com.amazonaws.pricing#%s","Message":"because"}`, name)
		}
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		class llm.Class
		calls int
	}{
		"no permission": {fails(400, "AccessDeniedException"), llm.ClassAccess, 1},
		"bad signature": {fails(400, "InvalidSignatureException"), llm.ClassAccess, 1},
		"throttled":     {fails(400, "ThrottlingException"), llm.ClassThrottled, 1},
		"invalid":       {fails(400, "InvalidParameterException"), llm.ClassInvalid, 1},
		"expired":       {fails(400, "ExpiredNextTokenException"), llm.ClassInvalid, 1},
		"server":        {fails(500, "InternalErrorException"), llm.ClassOverloaded, 1},
		"no JSON":       {func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>") }, llm.ClassMalformed, 1},
		"no product":    {func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, `{"PriceList":["[]"]}`) }, llm.ClassMalformed, 1},
		"never ends": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"PriceList":[],"NextToken":"t"}`)
		}, llm.ClassMalformed, maxPages},
	} {
		calls := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			c.serve(w, r)
		}))
		_, err := PriceList(t.Context(), PriceService{Credentials: signed().Provider, BaseURL: server.URL}, "eu-west-1", "")
		var e *llm.Error
		if !errors.As(err, &e) || e.Class != c.class || e.Op != "list prices of AmazonBedrock" || calls != c.calls {
			t.Errorf("%s: %d calls, %v", name, calls, err)
		}
		server.Close()
	}
}

func TestPriceListRefuses(t *testing.T) {
	who := signed().Provider
	for want, c := range map[string]struct {
		from   PriceService
		region string
	}{
		"no AWS credentials":     {PriceService{}, "eu-west-1"},
		"not the name of an AWS": {PriceService{Credentials: who}, "Ireland"},
		"uses plain http":        {PriceService{Credentials: who, BaseURL: "http://example.com"}, "eu-west-1"},
	} {
		if _, err := PriceList(t.Context(), c.from, c.region, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
