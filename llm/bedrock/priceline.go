package bedrock

import (
	"math/big"
	"regexp"
	"strings"
)

// Usage types are written in two ways, with the region's billing code before them:
// USE1-NovaPro-input-tokens-flex-cross-region-global, and
// USW2-MP:USW2_CacheReadInputTokenCount_Global-Units or
// USW2-MP:USW2_cache_write_tokens_1h_global_standard-Units. Read in samples of the
// list of 2026-07 to 2026-10 that users published; AWS does not define them.
var (
	usagePrefix = regexp.MustCompile(`^[A-Z0-9]+-(MP:[A-Z0-9]+_)?`)
	camelHump   = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	otherThings = regexp.MustCompile(`-(image|images|audio|video|speech|training|customization|storage)-`)
)

// reservedWords mark prices of capacity, not of tokens.
var reservedWords = []string{"reserved", "tpm", "provisioned", "commit"}

// readUsageType sets what the usage type says of the line.
func (l *ListedPrice) readUsageType() {
	u := usagePrefix.ReplaceAllString(l.UsageType, "")
	u = camelHump.ReplaceAllString(strings.TrimSuffix(u, "-Units"), "$1-$2")
	u = "-" + strings.ToLower(strings.ReplaceAll(u, "_", "-")) + "-"
	l.Tier, l.Scope = tierOf(u), scopeOf(u)
	l.LongContext = strings.Contains(u, "-long-ctx-") || strings.Contains(u, "-long-context-")
	if l.Tier != "reserved" && !otherThings.MatchString(u) {
		l.Counts = countsOf(u)
	}
}

func tierOf(u string) string {
	for _, w := range reservedWords {
		if strings.Contains(u, w) {
			return "reserved"
		}
	}
	for _, tier := range []string{"flex", "priority", "batch"} {
		if strings.Contains(u, "-"+tier+"-") {
			return tier
		}
	}
	if strings.Contains(u, "-latency-optimized-") {
		return "latency"
	}
	return "standard"
}

func scopeOf(u string) string {
	switch {
	case strings.Contains(u, "-global-"):
		return "global"
	case strings.Contains(u, "-cross-region-"), strings.Contains(u, "-geo-"):
		return "geo"
	case strings.Contains(u, "-regional-"):
		return "region"
	}
	return ""
}

func countsOf(u string) string {
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(u, w) {
				return true
			}
		}
		return false
	}
	switch {
	case !has("token"):
		return ""
	case has("-cache-read-", "-cacheread-"):
		return "cache_read"
	case has("-cache-write", "-cachewrite"):
		switch {
		case has("-1h-", "-write1h-"):
			return "cache_write_1h"
		case has("-30m-", "-write30m-"):
			return "cache_write_30m"
		}
		return "cache_write_5m"
	case has("-cache-"):
		return ""
	case has("-input-"):
		return "input"
	case has("-output-", "-response-"):
		return "output"
	}
	return ""
}

var (
	usdForm      = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,30})?$`)
	thousandUnit = regexp.MustCompile(`(?i)^(1k|1,?000|thousand) tokens?$`)
	millionUnit  = regexp.MustCompile(`(?i)^(1m|1,?000,?000|(1 )?million) tokens?$`)
	tokenUnit    = regexp.MustCompile(`(?i)^tokens?$`)

	// Where the unit is only "Units", the description says how many tokens one is.
	tokenWords     = `((input|output|prompt|response|completion|text|cached?|read|write) )*tokens?\b`
	thousandInText = regexp.MustCompile(`(?i)\b(1k|1,000|1000|thousand) ` + tokenWords)
	millionInText  = regexp.MustCompile(`(?i)\b(1m|1,000,000|1000000|million) ` + tokenWords)
)

// perMillion is the price of a million tokens as an exact decimal; "0" and false
// where the price or its unit is not understood.
func perMillion(usd, unit, description string) (string, bool) {
	tokens := tokensOf(strings.TrimSpace(unit), description)
	if tokens == 0 || !usdForm.MatchString(usd) {
		return "0", false
	}
	price, ok := new(big.Rat).SetString(usd)
	if !ok {
		return "0", false
	}
	price.Mul(price, big.NewRat(1_000_000/tokens, 1))
	_, fraction, _ := strings.Cut(usd, ".")
	text := price.FloatString(len(fraction)) // the factor is a power of ten: no digit is lost
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text, true
}

// tokensOf is how many tokens a unit is, 0 where it does not say.
func tokensOf(unit, description string) int64 {
	switch {
	case thousandUnit.MatchString(unit):
		return 1_000
	case millionUnit.MatchString(unit):
		return 1_000_000
	case tokenUnit.MatchString(unit):
		return 1
	case !strings.EqualFold(unit, "Units"):
		return 0
	}
	thousand, million := thousandInText.MatchString(description), millionInText.MatchString(description)
	switch {
	case thousand && !million:
		return 1_000
	case million && !thousand:
		return 1_000_000
	}
	return 0
}
