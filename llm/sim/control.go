package sim

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"understudy/llm"
	"understudy/llm/bedrock"
)

// wellKnown are models that the control plane lists beside those of the
// configuration and of the answers file.
var wellKnown = []string{
	"amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0", "amazon.nova-pro-v1:0",
	"anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-sonnet-4-6",
	"meta.llama3-3-70b-instruct-v1:0", "mistral.mistral-large-2407-v1:0", "openai.gpt-oss-120b-1:0",
	"us.amazon.nova-lite-v1:0", "us.amazon.nova-pro-v1:0", "us.anthropic.claude-haiku-4-5-20251001-v1:0",
	"us.anthropic.claude-sonnet-4-6", "us.meta.llama3-3-70b-instruct-v1:0",
}

// profileRegions are the destinations of every simulated profile, which are those of the
// geography "us" alone.
var profileRegions = []string{"us-east-1", "us-east-2", "us-west-2"}

// profilePrefix begins the ids of simulated profiles.
const profilePrefix = "us."

// serveControl answers the control plane's questions for models and inference
// profiles; false where the request is none of them.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) bool {
	path := r.URL.EscapedPath()
	one, isOne := strings.CutPrefix(path, "/inference-profiles/")
	if r.Method != http.MethodGet || path != "/foundation-models" && path != "/inference-profiles" && !isOne {
		return false
	}
	region := signedRegion(r)
	var body any
	var e *awsError
	switch {
	case path == "/foundation-models":
		body = s.foundationModels(region)
	case isOne:
		body, e = s.inferenceProfile(one, region)
	default:
		body, e = s.inferenceProfiles(r.URL.Query(), region)
	}
	if e != nil {
		e.write(w, 0)
		return true
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(body))
	return true
}

var scopeForm = regexp.MustCompile(`Credential=[^/]+/\d{8}/([a-z0-9-]+)/`)

// signedRegion is the region that a request was signed for.
func signedRegion(r *http.Request) string {
	if m := scopeForm.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		return m[1]
	}
	return "us-east-1" // a bearer key does not say
}

// ids are the model and profile ids that the catalogue knows by name, sorted.
func (c catalogue) ids(a *answers) []string {
	known := slices.Clone(wellKnown)
	known = slices.AppendSeq(known, maps.Keys(c.declared))
	known = slices.AppendSeq(known, maps.Keys(c.families))
	known = slices.AppendSeq(known, maps.Keys(c.noAccess))
	known = slices.AppendSeq(known, maps.Keys(a.byUser))
	known = slices.AppendSeq(known, maps.Keys(a.byDigest))
	known = slices.DeleteFunc(known, func(id string) bool { return strings.HasPrefix(id, "arn:") || !strings.Contains(id, ".") })
	slices.Sort(known)
	return slices.Compact(known)
}

func (s *Server) foundationModels(region string) any {
	summaries := []any{}
	for _, id := range s.models.ids(s.answers) {
		if llm.TrimRegion(id) != id {
			continue
		}
		family, known := s.models.family(id, true)
		if !known {
			continue
		}
		summaries = append(summaries, modelSummary(id, region, family))
	}
	return map[string]any{"modelSummaries": summaries}
}

func modelSummary(id, region string, family bedrock.Family) any {
	input := []string{"TEXT"}
	if family.Images {
		input = append(input, "IMAGE")
	}
	vendor, name, _ := strings.Cut(id, ".")
	return map[string]any{
		"modelArn": modelARN(region, id), "modelId": id, "modelName": clip(name, 20), "providerName": clip(vendor, 20),
		"inputModalities": input, "outputModalities": []string{"TEXT"}, "responseStreamingSupported": true,
		"customizationsSupported": []string{}, "inferenceTypesSupported": []string{"ON_DEMAND"},
		"modelLifecycle": map[string]any{"status": "ACTIVE"},
	}
}

func modelARN(region, id string) string {
	return "arn:aws:bedrock:" + region + "::foundation-model/" + id
}

// inferenceProfiles is one page of the profiles. Application profiles are none.
func (s *Server) inferenceProfiles(query url.Values, region string) (any, *awsError) {
	most, from := 1000, 0
	var err1, err2 error
	if v := query.Get("maxResults"); v != "" {
		most, err1 = strconv.Atoi(v)
	}
	if v := query.Get("nextToken"); v != "" {
		from, err2 = strconv.Atoi(v)
	}
	if err1 != nil || most < 1 || most > 1000 {
		return nil, invalid("1 validation error detected: Value at 'maxResults' failed to satisfy constraint: Member must be between 1 and 1000")
	}
	if err2 != nil || from < 0 || from > 1<<20 {
		return nil, invalid("The provided nextToken is invalid.")
	}
	all := []any{}
	if query.Get("type") != "APPLICATION" {
		for _, id := range s.models.ids(s.answers) {
			if strings.HasPrefix(id, profilePrefix) {
				all = append(all, profileSummary(id, region))
			}
		}
	}
	page := all[min(from, len(all)):min(from+most, len(all))]
	body := map[string]any{"inferenceProfileSummaries": page}
	if from+most < len(all) {
		body["nextToken"] = strconv.Itoa(from + most)
	}
	return body, nil
}

// inferenceProfile is one profile by its id or ARN. Any id of a model that exists
// has one, listed or not.
func (s *Server) inferenceProfile(escaped, region string) (any, *awsError) {
	id, err := url.PathUnescape(escaped)
	if err != nil || len(id) > 2048 || !modelForm.MatchString(id) {
		return nil, invalid("The provided inference profile identifier is invalid.")
	}
	if i := strings.LastIndexByte(id, '/'); strings.HasPrefix(id, "arn:") && strings.Contains(id, ":inference-profile/") {
		id = id[i+1:]
	}
	_, known := s.models.family(id, s.answers.names(id))
	if !known || !strings.HasPrefix(id, profilePrefix) {
		return nil, &awsError{status: http.StatusNotFound, name: "ResourceNotFoundException", message: "The requested inference profile was not found."}
	}
	return profileSummary(id, region), nil
}

// profileName has the characters that the service allows in a name.
var profileName = regexp.MustCompile(`[^0-9a-zA-Z]+`)

func profileSummary(id, region string) any {
	models := []any{}
	for _, to := range profileRegions {
		models = append(models, map[string]any{"modelArn": modelARN(to, llm.TrimRegion(id))})
	}
	return map[string]any{
		"inferenceProfileName": clip(profileName.ReplaceAllString("US "+llm.TrimRegion(id), " "), 64),
		"inferenceProfileArn":  "arn:aws:bedrock:" + region + ":123456789012:inference-profile/" + id,
		"inferenceProfileId":   id, "models": models, "status": "ACTIVE", "type": "SYSTEM_DEFINED",
		"createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
	}
}

// countedOnly are the members of a Converse request that can be counted.
var countedOnly = []string{"messages", "system", "toolConfig", "additionalModelRequestFields"}

// serveCount answers CountTokens, for plain model ids and Converse input alone. It
// counts as an answer's usage does, is no call in the statistics and costs no time.
func (s *Server) serveCount(w http.ResponseWriter, r *http.Request, model string) {
	n, e := s.count(w, r, model)
	if e != nil {
		e.write(w, 0)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(map[string]any{"inputTokens": n}))
}

func (s *Server) count(w http.ResponseWriter, r *http.Request, model string) (int, *awsError) {
	body, tooLarge, err := readObject(w, r)
	_, known := s.models.family(model, s.answers.names(model))
	switch {
	case s.models.denied(model):
		return 0, awsDenied()
	case !known:
		return 0, awsNoModel()
	case llm.TrimRegion(model) != model || strings.Contains(model, "inference-profile/"):
		return 0, invalid("The provided model doesn't support counting tokens.")
	case tooLarge:
		return 0, invalid("The request body is too large.")
	case err != nil:
		return 0, &awsError{status: 400, name: "SerializationException", message: "The request body is not a JSON object."}
	}
	input, _ := body["input"].(map[string]any)
	counted, isConverse := input["converse"].(map[string]any)
	if len(body) != 1 || len(input) != 1 || !isConverse {
		return 0, invalid("1 validation error detected: Value at 'input' failed to satisfy constraint: Member must hold converse alone")
	}
	for name := range counted {
		if !slices.Contains(countedOnly, name) {
			return 0, invalid("1 validation error detected: Value at 'input.converse' failed to satisfy constraint: %s is no member", name)
		}
	}
	return s.countConverse(counted, model)
}

func (s *Server) countConverse(counted map[string]any, model string) (int, *awsError) {
	if e := checkShape(counted); e != nil {
		return 0, e
	}
	call, err := decodeConverse(counted, model)
	if err != nil {
		return 0, &awsError{status: 400, name: "SerializationException", message: "The request body does not have the form of a Converse request."}
	}
	if rec := s.answers.match(call.ask); rec != nil {
		return rec.reply(call.ask, s.persona(model), 0).input, nil
	}
	if n := s.persona(model).InputTokens; n > 0 {
		return n, nil
	}
	return estimateTokens(call.ask.bytes), nil
}
