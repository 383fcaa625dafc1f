package llm

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// A Price is what the tokens of a model cost in one service tier, in USD per
// million tokens. A nil part is not known, which is never the same as free.
type Price struct {
	Input  float64 `toml:"input"`
	Output float64 `toml:"output"`
	// CacheRead is the price of input that was read from the provider's cache,
	// CacheWrite5m and CacheWrite1h that of input written to it for five minutes
	// (or for as long as a provider with one kind of cache keeps it) and for an hour.
	CacheRead    *float64 `toml:"cache_read"`
	CacheWrite5m *float64 `toml:"cache_write_5m"`
	CacheWrite1h *float64 `toml:"cache_write_1h"`
	// Long, where not nil, makes calls with a long prompt dearer.
	Long *LongPrompt `toml:"long"`
}

// A LongPrompt is what a call costs as a whole, in multiples, whose input is longer
// than so many tokens. Cached and written input count as input.
type LongPrompt struct {
	Above       int     `toml:"above"`
	InputTimes  float64 `toml:"input_times"`
	OutputTimes float64 `toml:"output_times"`
}

// times are the multiples for a call of so much input.
func (p *Price) times(input int) (in, out float64) {
	if p.Long == nil || input <= p.Long.Above {
		return 1, 1
	}
	return p.Long.InputTimes, p.Long.OutputTimes
}

// maxPrice is above every price of a million tokens.
const maxPrice = 1e6

// UnmarshalTOML reads the table { input = …, output = … }. Both must be there: half
// a price would make the other half free.
func (p *Price) UnmarshalTOML(data any) error {
	table, ok := data.(map[string]any)
	if !ok {
		return errors.New("price is not a table { input = …, output = … }")
	}
	var read Price
	seen := map[string]bool{}
	for key, v := range table {
		if key == "long" {
			long, err := longPrompt(v)
			if err != nil {
				return err
			}
			read.Long = long
			continue
		}
		n, err := number(v)
		if err != nil {
			return fmt.Errorf("price.%s %w", key, err)
		}
		if !read.set(key, n) {
			return fmt.Errorf("price has an unknown key %q: input, output, cache_read, cache_write_5m and cache_write_1h, in USD per million tokens, and long", key)
		}
		seen[key] = true
	}
	if !seen["input"] || !seen["output"] {
		return errors.New("price needs both input and output: what is free must say so with 0")
	}
	*p = read
	return nil
}

// longPrompt reads the table { above = …, input_times = …, output_times = … }.
func longPrompt(data any) (*LongPrompt, error) {
	table, _ := data.(map[string]any)
	var values [3]float64
	for i, key := range []string{"above", "input_times", "output_times"} {
		n, err := number(table[key])
		if err != nil {
			return nil, fmt.Errorf("price.long.%s %w: long is { above = 200000, input_times = 2, output_times = 1.5 }", key, err)
		}
		values[i] = n
	}
	if len(table) != len(values) {
		return nil, errors.New("price.long has an unknown key: above, input_times and output_times")
	}
	return &LongPrompt{Above: int(values[0]), InputTimes: values[1], OutputTimes: values[2]}, nil
}

// set sets a part by its key; false for an unknown key.
func (p *Price) set(key string, usd float64) bool {
	switch key {
	case "input":
		p.Input = usd
	case "output":
		p.Output = usd
	case "cache_read":
		p.CacheRead = &usd
	case "cache_write_5m":
		p.CacheWrite5m = &usd
	case "cache_write_1h":
		p.CacheWrite1h = &usd
	default:
		return false
	}
	return true
}

func number(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case int64:
		return float64(v), nil
	}
	return 0, errors.New("is not a number")
}

// Validate reports a part that is no price.
func (p *Price) Validate() error {
	for _, part := range []*float64{&p.Input, &p.Output, p.CacheRead, p.CacheWrite5m, p.CacheWrite1h} {
		if part != nil && !(*part >= 0 && *part <= maxPrice) {
			return fmt.Errorf("price %v: USD per million tokens, 0 to a million", *part)
		}
	}
	if l := p.Long; l != nil && !(l.Above > 0 && l.InputTimes >= 1 && l.InputTimes <= 100 && l.OutputTimes >= 1 && l.OutputTimes <= 100) {
		return fmt.Errorf("long %+v: above some tokens of input, input_times and output_times of 1 to 100", *l)
	}
	return nil
}

// Cost of a usage in USD; false where a part of it has no known price, or the
// usage contradicts itself. Cached and written input is taken out of the rest, so
// that every token is priced once.
func (p *Price) Cost(u Usage) (usd float64, known bool) {
	if u.Validate() != nil {
		return 0, false
	}
	in, out := p.times(u.InputTokens)
	sum := float64(u.InputTokens-u.CachedInputTokens-u.CacheWriteTokens)*p.Input*in + float64(u.OutputTokens)*p.Output*out
	for _, part := range []struct {
		tokens int
		price  *float64
	}{
		{u.CachedInputTokens, p.CacheRead},
		{u.CacheWriteTokens - u.CacheWrite1hTokens, p.CacheWrite5m},
		{u.CacheWrite1hTokens, p.CacheWrite1h},
	} {
		switch {
		case part.tokens == 0:
		case part.price == nil:
			return 0, false
		default:
			sum += float64(part.tokens) * *part.price * in
		}
	}
	return sum / 1e6, true
}

// Bound is the most that a call of at most so many tokens can cost in USD: every token
// of input at the dearest price that input has.
func (p *Price) Bound(input, output int) float64 {
	dearest := p.Input
	for _, part := range []*float64{p.CacheRead, p.CacheWrite5m, p.CacheWrite1h} {
		if part != nil {
			dearest = max(dearest, *part)
		}
	}
	in, out := p.times(input)
	return (float64(input)*dearest*max(in, 1) + float64(output)*p.Output*max(out, 1)) / 1e6
}

// A ServiceTier is a way of being served that has a price of its own.
type ServiceTier string

// The service tiers; none is the standard one. Batch is not a way in which this product makes calls; its
// price is shown.
const (
	TierStandard ServiceTier = "standard"
	TierFlex     ServiceTier = "flex"
	TierPriority ServiceTier = "priority"
	TierBatch    ServiceTier = "batch"
)

// ServiceTierOf is the tier for a provider's word, in a request or in an answer. No
// word, "auto" and "default" are the standard tier; a word that is not known stands
// for itself, and has no price.
func ServiceTierOf(word string) ServiceTier {
	switch word {
	case "", "auto", "default", "standard_only":
		return TierStandard
	case "fast": // OpenAI's newer word for it
		return TierPriority
	}
	return ServiceTier(word)
}

// Rates are what calls of one endpoint cost.
type Rates struct {
	// PerCall, where not nil, is what each call costs in USD whatever its tokens:
	// the endpoint is paid by the month, and each call is a share of it.
	PerCall *float64
	// Tiers are the prices by tier. The standard tier is always there, unless
	// PerCall is set.
	Tiers map[ServiceTier]Price
}

// NewRates are rates of the standard tier alone.
func NewRates(p Price) Rates { return Rates{Tiers: map[ServiceTier]Price{TierStandard: p}} }

// Cost of a usage in USD in the tier that served it; false where it is not known.
func (r *Rates) Cost(u Usage, tier ServiceTier) (usd float64, known bool) {
	if r.PerCall != nil {
		return *r.PerCall, true
	}
	p, ok := r.Tiers[cmp.Or(tier, TierStandard)]
	if !ok {
		return 0, false
	}
	return p.Cost(u)
}

// Bill is Cost for a call that asked for one tier and was told of another: where the
// answer does not say which served it (an empty word), the dearer of the standard
// tier and the one asked for counts.
func (r *Rates) Bill(u Usage, asked ServiceTier, served string) (usd float64, known bool) {
	if served != "" {
		return r.Cost(u, ServiceTierOf(served))
	}
	usd, known = r.Cost(u, TierStandard)
	other, also := r.Cost(u, asked)
	return max(usd, other), known && also
}

// Bound is the most in USD that a call of so many tokens can cost which asks for
// tier; false where that tier has no known price: such a call must not be made. The
// provider may serve in another tier than asked for, so all of them count.
func (r *Rates) Bound(tier ServiceTier, input, output int) (usd float64, known bool) {
	if r.PerCall != nil {
		return *r.PerCall, true
	}
	if _, known = r.Tiers[cmp.Or(tier, TierStandard)]; !known {
		return 0, false
	}
	for t, p := range r.Tiers {
		if t != TierBatch {
			usd = max(usd, p.Bound(input, output))
		}
	}
	return usd, true
}

// regionPrefixes are the prefixes of Bedrock's cross-region inference profiles.
var regionPrefixes = []string{"us-gov.", "us.", "eu.", "apac.", "jp.", "au.", "ca.", "sa.", "in.", "amer.", "global."}

// TrimRegion removes the prefix of a cross-region profile from a Bedrock model id.
func TrimRegion(model string) string {
	_, rest := cutRegion(model)
	return rest
}

// cutRegion takes the prefix of a cross-region profile off a Bedrock model id.
func cutRegion(model string) (prefix, rest string) {
	for _, p := range regionPrefixes {
		if rest, ok := strings.CutPrefix(model, p); ok {
			return strings.TrimSuffix(p, "."), rest
		}
	}
	return "", model
}
