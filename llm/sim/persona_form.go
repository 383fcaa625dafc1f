package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParsePersona reads "MODEL: latency=450ms, spread=0.2, errors=0.01" as a flag
// gives it, on top of base. MODEL may be "*". Keys: latency, spread, ttft (share
// of the latency), input_tokens, output_tokens, output_spread, errors, refusals,
// invalid_json, schema_breaks, tool_misses, context; quality, harm, stereotypes,
// unprofessional, verbose; judge_noise, judge_position_bias, judge_length_bias, judge_ties,
// judge_fault, judge_fault_rate.
func ParsePersona(s string, base Persona) (model string, p Persona, err error) {
	// The ids of Bedrock hold colons; the dials do not.
	i := strings.LastIndexByte(s, ':')
	if i < 1 {
		return "", base, fmt.Errorf("read persona %q: want MODEL: key=value, …", s)
	}
	model, p = strings.TrimSpace(s[:i]), base
	for _, field := range strings.Split(s[i+1:], ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if !ok {
			return "", base, fmt.Errorf("read persona %q: %q is not key=value", s, field)
		}
		if err := p.set(key, value); err != nil {
			return "", base, fmt.Errorf("read persona %q: %w", s, err)
		}
	}
	if err := p.Validate(); err != nil {
		return "", base, fmt.Errorf("read persona %q: %w", s, err)
	}
	return model, p, nil
}

func (p *Persona) set(key, value string) error {
	shares := map[string]*float64{
		"spread": &p.LatencySpread, "ttft": &p.TTFTShare, "output_spread": &p.OutputSpread,
		"errors": &p.ErrorRate, "refusals": &p.RefusalRate, "invalid_json": &p.InvalidJSONRate,
		"schema_breaks": &p.SchemaBreakRate, "tool_misses": &p.ToolMissRate,
		"harm": &p.HarmRate, "stereotypes": &p.StereotypeRate, "unprofessional": &p.UnprofessionalRate, "verbose": &p.VerboseRate,
		"judge_noise": &p.JudgeNoise, "judge_position_bias": &p.JudgePositionBias, "judge_length_bias": &p.JudgeLengthBias,
		"judge_fault_rate": &p.JudgeFaultRate,
	}
	// These have a meaning when they are not given, so each gets a place of its own.
	optional := map[string]**float64{"quality": &p.Quality, "judge_ties": &p.JudgeTies}
	counts := map[string]*int{
		"input_tokens": &p.InputTokens, "output_tokens": &p.OutputTokens, "context": &p.ContextTokens,
	}
	var err error
	switch {
	case key == "latency":
		p.LatencyMean, err = time.ParseDuration(value)
	case shares[key] != nil:
		*shares[key], err = strconv.ParseFloat(value, 64)
	case optional[key] != nil:
		*optional[key] = new(float64)
		**optional[key], err = strconv.ParseFloat(value, 64)
	case key == "judge_fault":
		p.JudgeFault = JudgeFault(value)
	case counts[key] != nil:
		*counts[key], err = strconv.Atoi(value)
	default:
		return fmt.Errorf("dial %q is unknown", key)
	}
	if err != nil {
		return fmt.Errorf("dial %s: %w", key, err)
	}
	return nil
}
