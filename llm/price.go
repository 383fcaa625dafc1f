package llm

import (
	"errors"
	"fmt"
	"strings"
)

// A Price is what a model costs, in USD per million tokens.
type Price struct {
	Input  float64 `toml:"input"`
	Output float64 `toml:"output"`
}

// UnmarshalTOML reads the table { input = …, output = … }. Both must be there: half
// a price would make the other half free.
func (p *Price) UnmarshalTOML(data any) error {
	table, ok := data.(map[string]any)
	if !ok {
		return errors.New("price is not a table { input = …, output = … }")
	}
	values := map[string]*float64{"input": &p.Input, "output": &p.Output}
	for key, v := range table {
		to := values[key]
		if to == nil {
			return fmt.Errorf("price has an unknown key %q: input and output, in USD per million tokens", key)
		}
		switch v := v.(type) {
		case float64:
			*to = v
		case int64:
			*to = float64(v)
		default:
			return fmt.Errorf("price.%s is not a number", key)
		}
		delete(values, key)
	}
	if len(values) > 0 {
		return errors.New("price needs both input and output: what is free must say so with 0")
	}
	return nil
}

// Cost of a usage in USD. Cached input is billed here at the full input price:
// never below the bill.
func (p Price) Cost(u Usage) float64 {
	return (float64(u.InputTokens)*p.Input + float64(u.OutputTokens)*p.Output) / 1e6
}

// PriceTableDate is the day on which the rows of the built-in table were last
// compared with the vendors' public price pages.
const PriceTableDate = "2026-11-22"

// prices are on-demand prices in USD per million tokens by the model's id
// without its region prefix. A row in the config overrides.
var prices = map[string]Price{
	"gpt-4-turbo":                     {10, 30},
	"gpt-4o":                          {2.5, 10},
	"gpt-4o-mini":                     {0.15, 0.60},
	"gpt-4.1":                         {2, 8},
	"gpt-4.1-mini":                    {0.40, 1.60},
	"meta.llama3-70b-instruct-v1:0":   {2.65, 3.50},
	"meta.llama3-1-70b-instruct-v1:0": {0.72, 0.72},
	"meta.llama3-3-70b-instruct-v1:0": {0.72, 0.72},
	"anthropic.claude-3-5-sonnet-20240620-v1:0": {3, 15},
	"anthropic.claude-3-5-sonnet-20241022-v2:0": {3, 15},
	"anthropic.claude-3-sonnet-20240229-v1:0":   {3, 15},
	"anthropic.claude-3-haiku-20240307-v1:0":    {0.25, 1.25},
	"anthropic.claude-v2:1":                     {8, 24},
	"mistral.mixtral-8x7b-instruct-v0:1":        {0.45, 0.70},
	"amazon.nova-pro-v1:0":                      {0.80, 3.20},
	"amazon.nova-lite-v1:0":                     {0.06, 0.24},
	"amazon.nova-micro-v1:0":                    {0.035, 0.14},
}

// LookupPrice finds a model id in the built-in table, with or without the
// region prefix of a cross-region profile. An ARN is never guessed: false.
func LookupPrice(model string) (Price, bool) {
	p, ok := prices[TrimRegion(model)]
	return p, ok
}

// regionPrefixes are the prefixes of Bedrock's cross-region inference profiles.
var regionPrefixes = []string{"us-gov.", "us.", "eu.", "apac.", "jp.", "au.", "ca.", "sa.", "amer.", "global."}

// TrimRegion removes the prefix of a cross-region profile from a Bedrock model id.
func TrimRegion(model string) string {
	for _, p := range regionPrefixes {
		if rest, ok := strings.CutPrefix(model, p); ok {
			return rest
		}
	}
	return model
}
