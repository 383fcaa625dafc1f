package llm_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"understudy/llm"
)

// aPrice draws a price whose cache parts may be unknown.
func aPrice(t *rapid.T) llm.Price {
	usd := rapid.Float64Range(0, 200)
	part := func(name string) *float64 {
		if rapid.Bool().Draw(t, name+" known") {
			v := usd.Draw(t, name)
			return &v
		}
		return nil
	}
	return llm.Price{Input: usd.Draw(t, "input"), Output: usd.Draw(t, "output"),
		CacheRead: part("cache_read"), CacheWrite5m: part("cache_write_5m"), CacheWrite1h: part("cache_write_1h")}
}

// aUsage draws a usage that does not contradict itself.
func aUsage(t *rapid.T) llm.Usage {
	tokens := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
	u := llm.Usage{InputTokens: tokens("input", 200_000), OutputTokens: tokens("output", 20_000)}
	u.CachedInputTokens = tokens("cached", u.InputTokens)
	u.CacheWriteTokens = tokens("written", u.InputTokens-u.CachedInputTokens)
	u.CacheWrite1hTokens = tokens("written for an hour", u.CacheWriteTokens)
	return u
}

func plus(a, b llm.Usage) llm.Usage {
	return llm.Usage{InputTokens: a.InputTokens + b.InputTokens, OutputTokens: a.OutputTokens + b.OutputTokens,
		CachedInputTokens: a.CachedInputTokens + b.CachedInputTokens, CacheWriteTokens: a.CacheWriteTokens + b.CacheWriteTokens,
		CacheWrite1hTokens: a.CacheWrite1hTokens + b.CacheWrite1hTokens}
}

func close9(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

// TestPriceIsAdditiveAndMonotone: what two calls cost together is the sum, more tokens
// never cost less, no cost is above its bound, and each token is priced once.
func TestPriceIsAdditiveAndMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, a, b := aPrice(t), aUsage(t), aUsage(t)
		costA, okA := p.Cost(a)
		costB, okB := p.Cost(b)
		both, ok := p.Cost(plus(a, b))
		if ok != (okA && okB) {
			t.Fatalf("known: %t and %t, together %t", okA, okB, ok)
		}
		if !ok {
			return
		}
		if !close9(both, costA+costB) {
			t.Fatalf("%v + %v is %v", costA, costB, both)
		}
		if both < costA || both < costB {
			t.Fatalf("more tokens cost less: %v, %v, %v", costA, costB, both)
		}
		if bound := p.Bound(a.InputTokens, a.OutputTokens); bound < costA*(1-1e-12) {
			t.Fatalf("%+v costs %v, above its bound %v", a, costA, bound)
		}
	})
}

// TestUnknownIsNeverFree: where tokens were used whose price is not known there is no
// cost, not a smaller one; and the same tokens with a price have one.
func TestUnknownIsNeverFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, u := aPrice(t), aUsage(t)
		usd, known := p.Cost(u)
		want := (u.CachedInputTokens == 0 || p.CacheRead != nil) && (u.CacheWriteTokens == u.CacheWrite1hTokens || p.CacheWrite5m != nil) &&
			(u.CacheWrite1hTokens == 0 || p.CacheWrite1h != nil)
		if known != want || !known && usd != 0 {
			t.Fatalf("%+v at %+v: %v, known %t", u, p, usd, known)
		}
		r := llm.NewRates(p)
		if _, known := r.Cost(u, "scale"); known {
			t.Fatal("a tier without a price has a cost")
		}
		if _, known := r.Bound("scale", u.InputTokens, u.OutputTokens); known {
			t.Fatal("a tier without a price has a bound")
		}
		fix := func(part *float64) *float64 {
			if part == nil {
				return &p.Input
			}
			return part
		}
		p.CacheRead, p.CacheWrite5m, p.CacheWrite1h = fix(p.CacheRead), fix(p.CacheWrite5m), fix(p.CacheWrite1h)
		if _, known := p.Cost(u); !known {
			t.Fatal("every part has a price, and the cost is not known")
		}
	})
	one := 1
	for _, u := range []llm.Usage{{InputTokens: 3, CachedInputTokens: 2, CacheWriteTokens: 2}, {InputTokens: -1}, {ReasoningTokens: &one}, {InputTokens: 1, CacheWriteTokens: 1, CacheWrite1hTokens: 2}} {
		p := llm.Price{Input: 1, Output: 1}
		if usd, known := p.Cost(u); known {
			t.Errorf("%+v contradicts itself and costs %v", u, usd)
		}
	}
}

// TestUsageKeepsItsForm: the record of a usage reads back as it was.
func TestUsageKeepsItsForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := aUsage(t)
		u.Estimated = rapid.Bool().Draw(t, "estimated")
		if rapid.Bool().Draw(t, "reasons") {
			n := rapid.IntRange(0, u.OutputTokens).Draw(t, "reasoning")
			u.ReasoningTokens, u.Raw = &n, json.RawMessage(`{"prompt_tokens":1}`)
		}
		text, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		var back llm.Usage
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(u, back); d != "" {
			t.Fatal(d)
		}
	})
}

// TestTheCase: 30,000 tokens in and 5,000 out, the interview that the product was
// conceived for, come out at the two figures of its own table.
func TestTheCase(t *testing.T) {
	interview := llm.Usage{InputTokens: 30_000, OutputTokens: 5_000}
	for model, want := range map[string]float64{
		"us.meta.llama3-3-70b-instruct-v1:0":         0.0252,
		"meta.llama3-3-70b-instruct-v1:0":            0.0252,
		"anthropic.claude-3-sonnet-20240229-v1:0":    0.165,
		"us.anthropic.claude-sonnet-4-20250514-v1:0": 0.165,
	} {
		ep := llm.DefaultEndpoint()
		ep.Provider, ep.Model, ep.Region = "bedrock", model, "us-east-1"
		rates, ok := llm.BuiltinPrices().Rates(&ep)
		usd, known := rates.Cost(interview, llm.TierStandard)
		if !ok || !known || !close9(usd, want) {
			t.Errorf("%s: %v, known %t; want %v", model, usd, ok && known, want)
		}
	}
}

const someRows = `
checked_on = 2026-01-02
[[price]]
provider = "bedrock"
models = ["meta.m-v1:0"]
input = 1.0
output = 2.0
source = "https://a.example"
checked_on = 2026-01-02
[[price]]
provider = "bedrock"
models = ["meta.m-v1:0"]
regions = ["eu-west-1"]
input = 3.0
output = 4.0
source = "https://a.example"
checked_on = 2026-01-02
[[price]]
provider = "bedrock"
models = ["meta.m-v1:0"]
profile = "global"
input = 0.5
output = 1.0
source = "https://a.example"
checked_on = 2026-01-02
[[price]]
provider = "bedrock"
models = ["meta.m-v1:0"]
tier = "flex"
input = 0.25
output = 0.5
source = "https://a.example"
checked_on = 2026-01-02
[[price]]
provider = "azure"
models = ["gpt-4-turbo"]
input = 10
output = 30
source = "https://a.example"
checked_on = 2026-01-02
`

func TestPriceTableFindsTheRow(t *testing.T) {
	table, err := llm.ParsePrices("some.toml", someRows)
	if err != nil {
		t.Fatal(err)
	}
	over, err := llm.ParsePrices("own.toml", `
[[price]]
provider = "bedrock"
models = ["meta.m-v1:0"]
input = 9.0
output = 2.0
source = "contract"
checked_on = 2026-01-02`)
	if err != nil {
		t.Fatal(err)
	}
	const arn = "arn:aws:bedrock:eu-west-1:123456789012:"
	for name, c := range map[string]struct {
		provider, model, family, region, auth string
		tier                                  llm.ServiceTier
		over                                  bool
		price                                 *llm.Price
		want                                  float64 // of a million tokens of input, 0 for no price
	}{
		"plain":                     {provider: "bedrock", model: "meta.m-v1:0", region: "us-east-1", want: 1},
		"a region of its own":       {provider: "bedrock", model: "meta.m-v1:0", region: "eu-west-1", want: 3},
		"a profile":                 {provider: "bedrock", model: "eu.meta.m-v1:0", region: "eu-west-1", want: 3},
		"global from that region":   {provider: "bedrock", model: "global.meta.m-v1:0", region: "eu-west-1", want: 0.5},
		"a tier":                    {provider: "bedrock", model: "meta.m-v1:0", region: "us-east-1", tier: llm.TierFlex, want: 0.25},
		"a tier without a row":      {provider: "bedrock", model: "meta.m-v1:0", region: "us-east-1", tier: llm.TierPriority},
		"a row of one's own":        {provider: "bedrock", model: "global.meta.m-v1:0", region: "eu-west-1", over: true, want: 9},
		"one's own, another tier":   {provider: "bedrock", model: "meta.m-v1:0", region: "us-east-1", tier: llm.TierFlex, over: true, want: 0.25},
		"a price of the endpoint's": {provider: "bedrock", model: "meta.m-v1:0", region: "us-east-1", over: true, price: &llm.Price{Input: 7, Output: 7}, want: 7},
		"a model's ARN":             {provider: "bedrock", model: "arn:aws:bedrock:eu-west-1::foundation-model/meta.m-v1:0", region: "eu-west-1", want: 3},
		"a profile's ARN":           {provider: "bedrock", model: arn + "inference-profile/global.meta.m-v1:0", region: "eu-west-1", want: 0.5},
		"an opaque ARN":             {provider: "bedrock", model: arn + "application-inference-profile/abc", family: "llama", region: "eu-west-1"},
		"an opaque ARN, declared":   {provider: "bedrock", model: arn + "application-inference-profile/abc", family: "meta.m-v1:0", region: "eu-west-1", want: 3},
		"an unknown model":          {provider: "bedrock", model: "meta.n-v1:0", region: "eu-west-1"},
		"a deployment":              {provider: "azure", model: "prod", family: "gpt-4-turbo", want: 10},
		"a deployment of any name":  {provider: "azure", model: "prod"},
		"the same name elsewhere":   {provider: "openai", model: "gpt-4-turbo"},
		"bedrock's other wire":      {provider: "openai", model: "meta.m-v1:0", region: "us-east-1", auth: llm.AuthSigV4, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			ep := llm.DefaultEndpoint()
			ep.Provider, ep.Model, ep.Family, ep.Region, ep.Auth, ep.Price = c.provider, c.model, c.family, c.region, c.auth, c.price
			in := table
			if c.over {
				in = table.With(over)
			}
			if c.tier == "" {
				c.tier = llm.TierStandard
			}
			rates, ok := in.Rates(&ep)
			usd, known := rates.Cost(llm.Usage{InputTokens: 1_000_000}, c.tier)
			if known = known && ok; known != (c.want > 0) || known && !close9(usd, c.want) {
				t.Errorf("got %v, known %t; want %v", usd, known, c.want)
			}
		})
	}
}

func TestPriceTableRefusesWhatIsNoTable(t *testing.T) {
	row := "[[price]]\nprovider = \"openai\"\nmodels = [\"m\"]\ninput = 1\noutput = 1\nsource = \"s\"\nchecked_on = 2026-01-02\n"
	for name, c := range map[string]struct{ text, says string }{
		"no source":      {strings.Replace(row, `source = "s"`, ``, 1), "source"},
		"half a price":   {strings.Replace(row, `output = 1`, ``, 1), "input and output"},
		"negative":       {strings.Replace(row, `output = 1`, `output = -1`, 1), "0 to a million"},
		"unknown key":    {row + "outptu = 1\n", "outptu"},
		"unknown tier":   {row + "tier = \"cheap\"\n", "cheap"},
		"unknown seller": {strings.Replace(row, `"openai"`, `"closedai"`, 1), "closedai"},
		"twice":          {row + row, "both price"},
		"no TOML":        {"[[price", "read prices: own.toml"},
	} {
		if _, err := llm.ParsePrices("own.toml", c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want it to say %q", name, err, c.says)
		}
	}
}

// TestBuiltinPricesAreSound: every row has a source and a day, cached input costs no
// more than other input, and no price is a thousandfold mistake of its unit.
func TestBuiltinPricesAreSound(t *testing.T) {
	table := llm.BuiltinPrices()
	if table.CheckedOn.IsZero() || len(table.Rows()) < 20 {
		t.Fatalf("table of %s with %d rows", table.CheckedOn.Format(time.DateOnly), len(table.Rows()))
	}
	for _, r := range table.Rows() {
		p := r.Price()
		if p.Input < 0.01 || p.Output > 1000 || p.Output < p.Input*0.5 {
			t.Errorf("%s %v: %v in, %v out", r.Provider, r.Models, p.Input, p.Output)
		}
		if p.CacheRead != nil && (*p.CacheRead > p.Input || *p.CacheRead == 0) || p.CacheWrite5m != nil && *p.CacheWrite5m < p.Input || p.CacheWrite1h != nil && *p.CacheWrite1h < *p.CacheWrite5m {
			t.Errorf("%s %v: the cache's prices do not fit the input's", r.Provider, r.Models)
		}
	}
}

// TestLongPrompts: above the length the whole call is dearer, and no call costs more
// than the bound of anything that is at least as long.
func TestLongPrompts(t *testing.T) {
	read, write := 1.0, 12.5
	p := llm.Price{Input: 10, Output: 20, CacheRead: &read, CacheWrite5m: &write, Long: &llm.LongPrompt{Above: 1000, InputTimes: 2, OutputTimes: 1.5}}
	for _, c := range []struct {
		u    llm.Usage
		want float64
	}{
		{llm.Usage{InputTokens: 1000, OutputTokens: 100}, 0.012},
		{llm.Usage{InputTokens: 1001, OutputTokens: 100}, 0.02302},
		{llm.Usage{InputTokens: 2000, OutputTokens: 0, CachedInputTokens: 1000}, 0.022},
	} {
		if usd, ok := p.Cost(c.u); !ok || !close9(usd, c.want) {
			t.Errorf("%+v costs %v, want %v", c.u, usd, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		u := aUsage(t)
		u.CacheWrite1hTokens = 0
		usd, ok := p.Cost(u)
		if more := rapid.IntRange(0, 5000).Draw(t, "more"); !ok || p.Bound(u.InputTokens+more, u.OutputTokens+more) < usd*(1-1e-12) {
			t.Fatalf("%+v costs %v, known %t", u, usd, ok)
		}
	})
}

// TestBoundKnowsTheTiers: the provider may serve in a dearer tier than asked for, but
// never as a batch.
func TestBoundKnowsTheTiers(t *testing.T) {
	r := llm.NewRates(llm.Price{Input: 1, Output: 1})
	r.Tiers[llm.TierBatch] = llm.Price{Input: 50, Output: 50}
	if usd, ok := r.Bound(llm.TierStandard, 1_000_000, 0); !ok || usd != 1 {
		t.Errorf("bound %v", usd)
	}
	r.Tiers[llm.TierPriority] = llm.Price{Input: 2, Output: 2}
	for _, asked := range []llm.ServiceTier{"", llm.TierStandard, llm.TierPriority} {
		if usd, ok := r.Bound(asked, 1_000_000, 0); !ok || usd != 2 {
			t.Errorf("bound of a call in tier %q: %v", asked, usd)
		}
	}
}

// TestBillWithoutATier: an answer that does not say which tier served it costs the
// dearer of the standard tier and the one that was asked for.
func TestBillWithoutATier(t *testing.T) {
	r := llm.NewRates(llm.Price{Input: 2, Output: 2})
	r.Tiers[llm.TierPriority], r.Tiers[llm.TierFlex] = llm.Price{Input: 4, Output: 4}, llm.Price{Input: 1, Output: 1}
	u := llm.Usage{InputTokens: 1_000_000}
	for _, c := range []struct {
		asked  llm.ServiceTier
		served string
		want   float64 // 0 for not known
	}{
		{"", "", 2}, {llm.TierStandard, "", 2}, {llm.TierPriority, "", 4}, {llm.TierFlex, "", 2}, {"scale", "", 0},
		{llm.TierPriority, "default", 2}, {llm.TierPriority, "priority", 4}, {"", "flex", 1}, {"", "scale", 0},
	} {
		if usd, known := r.Bill(u, c.asked, c.served); known != (c.want > 0) || known && usd != c.want {
			t.Errorf("asked %q, served %q: %v, known %t; want %v", c.asked, c.served, usd, known, c.want)
		}
	}
}

// TestOwnPriceKeepsLongPrompts: a price of the endpoint's section does not make long
// prompts cheaper, unless it says how dear they are.
func TestOwnPriceKeepsLongPrompts(t *testing.T) {
	ep := llm.DefaultEndpoint()
	ep.Provider, ep.Model, ep.Region = "bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", "us-east-1"
	ep.Price = &llm.Price{Input: 1, Output: 1}
	for want, long := range map[float64]*llm.LongPrompt{0.5: nil, 0.75: {Above: 100, InputTimes: 3, OutputTimes: 3}} {
		ep.Price.Long = long
		rates, _ := llm.BuiltinPrices().Rates(&ep)
		if usd, ok := rates.Cost(llm.Usage{InputTokens: 250_000}, ""); !ok || !close9(usd, want) {
			t.Errorf("%+v: %v, want %v", long, usd, want)
		}
	}
	var read struct{ Price llm.Price }
	if _, err := toml.Decode(`price = { input = 1, output = 2, cache_read = 0.1, long = { above = 200000, input_times = 2, output_times = 1.5 } }`, &read); err != nil ||
		read.Price.Long == nil || *read.Price.Long != (llm.LongPrompt{Above: 200_000, InputTimes: 2, OutputTimes: 1.5}) || *read.Price.CacheRead != 0.1 {
		t.Errorf("%+v, %v", read.Price, err)
	}
	for _, bad := range []string{`{ above = 2 }`, `3`, `{ above = 2, input_times = 2, output_times = 2, else = 2 }`} {
		if _, err := toml.Decode(`price = { input = 1, output = 2, long = `+bad+` }`, &read); err == nil || !strings.Contains(err.Error(), "price.long") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestEndpointsOnAWS: by provider, signature or host; the host's region counts.
func TestEndpointsOnAWS(t *testing.T) {
	for _, c := range []struct {
		ep     llm.Endpoint
		region string
		ok     bool
	}{
		{llm.Endpoint{Provider: "bedrock", Region: "eu-west-1"}, "eu-west-1", true},
		{llm.Endpoint{Provider: "bedrock", Region: "eu-west-1", BaseURL: "http://127.0.0.1:9"}, "eu-west-1", true},
		{llm.Endpoint{Provider: "openai", Auth: llm.AuthSigV4, Region: "eu-west-1", BaseURL: "https://proxy.example"}, "eu-west-1", true},
		{llm.Endpoint{Provider: "openai", BaseURL: "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1"}, "us-east-1", true},
		{llm.Endpoint{Provider: "openai", BaseURL: "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/openai/v1"}, "us-gov-west-1", true},
		{llm.Endpoint{Provider: "openai", BaseURL: "https://bedrock-mantle.us-west-2.api.aws/v1", Region: "eu-west-1"}, "us-west-2", true},
		{llm.Endpoint{Provider: "openai", BaseURL: "https://vpce-0a1.bedrock-runtime.us-east-1.vpce.amazonaws.com/openai/v1"}, "us-east-1", true},
		{llm.Endpoint{Provider: "openai", BaseURL: "https://api.openai.com/v1"}, "", false},
		{llm.Endpoint{Provider: "openai", BaseURL: "https://bedrock-runtime.us-east-1.amazonaws.com.example/v1"}, "", false},
		{llm.Endpoint{Provider: "azure", BaseURL: "https://name.openai.azure.com"}, "", false},
	} {
		if region, ok := c.ep.AWSRegion(); region != c.region || ok != c.ok {
			t.Errorf("%+v: %q, %t", c.ep, region, ok)
		}
	}
}

// TestMonthlyEndpoint: an endpoint that is paid by the month costs its share for each
// call, whatever the tokens, or as if on demand.
func TestMonthlyEndpoint(t *testing.T) {
	ep := llm.DefaultEndpoint()
	ep.Provider, ep.Model, ep.Region = "bedrock", "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc", "us-east-1"
	ep.FixedUSDMonth, ep.CostBasis, ep.CallsMonth = 24_000, llm.BasisShare, 240_000
	rates, ok := llm.BuiltinPrices().Rates(&ep)
	usd, known := rates.Cost(llm.Usage{InputTokens: 5}, llm.TierStandard)
	bound, bounded := rates.Bound(llm.TierStandard, 1_000_000, 1)
	if !ok || !known || !bounded || usd != 0.1 || bound != 0.1 {
		t.Errorf("got %v (%t), bound %v (%t)", usd, known, bound, bounded)
	}
	ep.CostBasis = llm.BasisTokens
	if _, ok := llm.BuiltinPrices().Rates(&ep); ok {
		t.Error("an endpoint without a token price has one")
	}
}
