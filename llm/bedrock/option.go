package bedrock

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"understudy/llm"
)

// limit translates the limit of the answer and the stop sequences.
func (t *translator) limit() {
	in := &t.out.inference
	path := limitPath(t.req)
	switch n := t.req.MaxTokens; {
	case n == nil:
		t.gap(path, limitAbsent)
	case *n < 1:
		t.gap(path, limitInvalid)
	case t.family.MaxOutput > 0 && *n > t.family.MaxOutput:
		t.gap(path, limitClamped)
		most := t.family.MaxOutput
		in.maxTokens = &most
	default:
		in.maxTokens = n
	}
	for i, s := range t.req.Stop {
		switch {
		case !t.family.StopSequences:
			t.gap("/stop", stopEmulated)
			t.cuts = t.req.Stop
			return
		case t.family.MaxStop > 0 && len(in.stop) == t.family.MaxStop:
			t.gap("/stop", stopEmulated)
			t.cuts = t.req.Stop[i:]
			return
		case blank(s):
			t.gap("/stop/"+strconv.Itoa(i), stopBlank)
		default:
			in.stop = append(in.stop, s)
		}
	}
}

// limitPath is where the limit of the answer stands, or would stand.
func limitPath(req *llm.Request) string {
	if req.MaxTokensPath == "" {
		return "/max_completion_tokens"
	}
	return req.MaxTokensPath
}

// sampling translates temperature and top_p.
func (t *translator) sampling() {
	in, req := &t.out.inference, t.req
	switch {
	case !t.family.Sampling:
		t.dropSampling(samplingRefused)
		return
	case t.thinks:
		t.dropSampling(effortSampling)
		return
	}
	in.temperature = t.clamp("/temperature", req.Temperature, temperatureClamped)
	in.topP = t.clamp("/top_p", req.TopP, topPClamped)
	if in.temperature != nil && in.topP != nil && !t.family.TemperatureWithTopP {
		t.gap("/top_p", topPBeside)
		in.topP = nil
	}
}

func (t *translator) dropSampling(k *gapKind) {
	if t.req.Temperature != nil {
		t.gap("/temperature", k)
	}
	if t.req.TopP != nil {
		t.gap("/top_p", k)
	}
}

// clamp brings a sampling parameter into Converse's range, 0 to 1.
func (t *translator) clamp(path string, v *float64, k *gapKind) *float64 {
	if v == nil || *v >= 0 && *v <= 1 {
		return v
	}
	t.gap(path, k)
	f := min(max(*v, 0), 1)
	return &f
}

// labels translates what says for whom and how a call is made.
func (t *translator) labels() {
	if u := t.req.User; u != "" {
		if t.family.Name == "claude" {
			sum := sha256.Sum256([]byte(u))
			t.addField("metadata", `{"user_id":"`+hex.EncodeToString(sum[:])+`"}`)
			t.gap("/user", userHashed)
		} else {
			t.gap("/user", userDropped)
		}
	}
	switch s := t.req.ServiceTier; {
	case s == "", s == "auto", s == "default":
	case t.family.ServiceTier && s == "flex": // priority costs more than is set aside
		t.out.tier = s
	default:
		t.gap("/service_tier", serviceTierDropped)
	}
	t.metadata()
}

func (t *translator) addField(key, raw string) {
	t.out.fields = append(t.out.fields, wireField{key, json.RawMessage(raw)})
}

// The limits of requestMetadata, by the service definition.
const (
	maxMetadata     = 16
	maxMetadataText = 256
)

// metadata puts the caller's labels into requestMetadata. The first 16 by name
// are sent; what a label may not hold becomes "_".
func (t *translator) metadata() {
	changed := false
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(t.req.Metadata)) {
		k, v := metadataText(key), metadataText(t.req.Metadata[key])
		changed = changed || k != key || v != t.req.Metadata[key]
		if k == "" || seen[k] || len(seen) == maxMetadata {
			changed = true
			continue
		}
		seen[k] = true
		t.out.metadata = append(t.out.metadata, wireField{k, llm.AppendJSONString(nil, v)})
	}
	if changed {
		t.gap("/metadata", metadataChanged)
	}
}

// metadataText is s with "_" for what the service definition does not allow.
func metadataText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" \t\n\r:_@$#=/+,-.", r):
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), maxMetadataText)]
}
