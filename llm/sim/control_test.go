package sim_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	control "github.com/aws/aws-sdk-go-v2/service/bedrock"
	controltypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"

	"understudy/internal/vendorspec"
	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/sim"
)

// controlClient is the real SDK against a simulator.
func controlClient(t *testing.T, s *sim.Server) *control.Client {
	t.Helper()
	return control.New(control.Options{
		Region: "us-west-2", BaseEndpoint: aws.String(s.URL()), Retryer: aws.NopRetryer{}, HTTPClient: transport(t),
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""),
	})
}

func catalogued(t *testing.T) *sim.Server {
	return start(t, sim.Config{Kind: sim.Bedrock, NoAccess: []string{"us.deepseek.r1-v1:0"}, Personas: map[string]sim.Persona{
		"*": quick(), "house.own-model": quick(), "arn:aws:bedrock:us-west-2:1:application-inference-profile/a": quick(),
	}})
}

// TestListModels: the plain ids that the simulator knows by name, in the region of
// the signature.
func TestListModels(t *testing.T) {
	out, err := controlClient(t, catalogued(t)).ListFoundationModels(t.Context(), &control.ListFoundationModelsInput{})
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]controltypes.FoundationModelSummary{}
	for _, m := range out.ModelSummaries {
		byID[*m.ModelId] = m
	}
	for _, id := range []string{"house.own-model", "deepseek.r1-v1:0", "meta.llama3-3-70b-instruct-v1:0"} {
		m, ok := byID[id]
		if !ok || m.ModelLifecycle.Status != "ACTIVE" || !*m.ResponseStreamingSupported || *m.ModelArn != "arn:aws:bedrock:us-west-2::foundation-model/"+id {
			t.Errorf("%s: %t, %+v", id, ok, m)
		}
	}
	if got := byID["anthropic.claude-sonnet-4-6"].InputModalities; !slices.Contains(got, "IMAGE") {
		t.Errorf("modalities of Claude: %v", got)
	}
	if len(byID) != len(out.ModelSummaries) {
		t.Error("a model is listed twice")
	}
	for id := range byID {
		if strings.HasPrefix(id, "us.") || strings.HasPrefix(id, "arn:") {
			t.Errorf("%s is listed as a model", id)
		}
	}
}

// TestListProfiles: pages of any size give the same list.
func TestListProfiles(t *testing.T) {
	c := controlClient(t, catalogued(t))
	list := func(most int32) (ids []string) {
		in := &control.ListInferenceProfilesInput{MaxResults: aws.Int32(most), TypeEquals: controltypes.InferenceProfileTypeSystemDefined}
		for range 100 {
			out, err := c.ListInferenceProfiles(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range out.InferenceProfileSummaries {
				ids = append(ids, *p.InferenceProfileId)
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return ids
			}
		}
		t.Fatal("the list does not end")
		return nil
	}
	all := list(1000)
	if !slices.Contains(all, "us.deepseek.r1-v1:0") || !slices.Contains(all, llama) || slices.ContainsFunc(all, func(id string) bool { return !strings.HasPrefix(id, "us.") }) {
		t.Errorf("listed %v", all)
	}
	for _, most := range []int32{1, 2, int32(len(all))} {
		if got := list(most); !slices.Equal(got, all) {
			t.Errorf("by %d: %v, want %v", most, got, all)
		}
	}
	apps, err := c.ListInferenceProfiles(t.Context(), &control.ListInferenceProfilesInput{TypeEquals: controltypes.InferenceProfileTypeApplication})
	if err != nil || len(apps.InferenceProfileSummaries) != 0 {
		t.Errorf("application profiles: %v, %v", apps, err)
	}
}

func TestGetProfile(t *testing.T) {
	c := controlClient(t, catalogued(t))
	for _, id := range []string{llama, "arn:aws:bedrock:us-west-2:123456789012:inference-profile/" + llama} {
		out, err := c.GetInferenceProfile(t.Context(), &control.GetInferenceProfileInput{InferenceProfileIdentifier: aws.String(id)})
		if err != nil {
			t.Fatal(err)
		}
		var to []string
		for _, m := range out.Models {
			to = append(to, *m.ModelArn)
		}
		want := "arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-3-70b-instruct-v1:0 arn:aws:bedrock:us-east-2::foundation-model/meta.llama3-3-70b-instruct-v1:0 arn:aws:bedrock:us-west-2::foundation-model/meta.llama3-3-70b-instruct-v1:0"
		if *out.InferenceProfileId != llama || out.Type != "SYSTEM_DEFINED" || strings.Join(to, " ") != want {
			t.Errorf("%s: %s, %v", id, *out.InferenceProfileId, to)
		}
	}
	for _, id := range []string{"eu.meta.llama3-3-70b-instruct-v1:0", "us.nobody.model", "meta.llama3-3-70b-instruct-v1:0"} {
		_, err := c.GetInferenceProfile(t.Context(), &control.GetInferenceProfileInput{InferenceProfileIdentifier: aws.String(id)})
		var missing *controltypes.ResourceNotFoundException
		if !errors.As(err, &missing) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestControlAnswersKeepTheDefinition holds the bytes against the service's own
// definition.
func TestControlAnswersKeepTheDefinition(t *testing.T) {
	spec := vendorspec.Bedrock(t)
	s := catalogued(t)
	for path, shape := range map[string]string{
		"/foundation-models": "ListFoundationModelsResponse", "/inference-profiles?maxResults=2": "ListInferenceProfilesResponse",
		"/inference-profiles/" + url.PathEscape(llama): "GetInferenceProfileResponse",
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, nil)
		req.Header.Set("Authorization", "Bearer bedrock-api-key-1")
		resp, err := transport(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		for _, fault := range spec.Check(shape, body) {
			t.Errorf("%s%s", shape, fault)
		}
	}
}

// TestPolicyLearns: what our own Control hears from the simulator is what the
// region policy then goes by, though no table knows the profile.
func TestPolicyLearns(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock, Personas: map[string]sim.Persona{"us.meta.house-llama": quick()}})
	ep := llm.DefaultEndpoint()
	ep.Name, ep.Provider, ep.Model, ep.Region = "cand", "bedrock", "us.meta.house-llama", "us-east-1"
	ep.BaseURL, ep.ControlURL = s.URL(), s.URL()
	who := bedrock.Credentials{APIKey: "bedrock-api-key-1"}
	c, err := bedrock.NewControl(ep, who, transport(t))
	if err != nil {
		t.Fatal(err)
	}
	client, err := bedrock.NewClient(ep, who, transport(t))
	if err != nil {
		t.Fatal(err)
	}
	policy := bedrock.NewRegionPolicy([]string{"us-east-1", "us-east-2", "us-west-2"})
	client.Restrict(policy)
	call, err := client.Prepare(&llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "Hi"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(t.Context(), call); llm.ClassOf(err) != llm.ClassAccess || s.Stats()[ep.Model].Calls != 0 {
		t.Fatalf("before: %v, %v", err, s.Stats())
	}
	profiles, err := c.Profiles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	policy.Learn(ep.Region, profiles, time.Now())
	answer, err := client.Do(t.Context(), call)
	if err != nil || s.Stats()[ep.Model].Calls != 1 {
		t.Fatalf("after: %v, %v", err, s.Stats())
	}
	if n, err := client.CountTokens(t.Context(), call); err != nil || n != answer.Usage.InputTokens {
		t.Errorf("counted %d, %v; usage %+v", n, err, answer.Usage)
	}
}

// TestCountTokens: the count is that of the same request's usage, for plain ids
// only, and no call of the statistics.
func TestCountTokens(t *testing.T) {
	dialled := quick()
	dialled.InputTokens = 123
	s := start(t, sim.Config{Kind: sim.Bedrock, AnswersFile: fixture(), NoAccess: []string{"amazon.nova-pro-v1:0"},
		Personas: map[string]sim.Persona{"*": quick(), "amazon.nova-lite-v1:0": dialled}})
	c := bedrockClient(t, s)
	count := func(model, text string) (int, error) {
		out, err := c.CountTokens(t.Context(), &bedrockruntime.CountTokensInput{ModelId: aws.String(model),
			Input: &types.CountTokensInputMemberConverse{Value: types.ConverseTokensRequest{Messages: userSays(text)}}})
		if err != nil {
			return 0, err
		}
		return int(*out.InputTokens), nil
	}
	for _, model := range []string{claude, "amazon.nova-lite-v1:0"} {
		for _, text := range []string{"Tell me of the sea", "What is two and two?"} {
			before := s.Stats()
			got, err := count(model, text)
			if err != nil || s.Stats()[model] != before[model] {
				t.Fatalf("%s: %v, statistics %v", model, err, s.Stats()[model])
			}
			out, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(model), Messages: userSays(text)})
			if err != nil || int(*out.Usage.InputTokens) != got || got == 0 {
				t.Errorf("%s, %q: counted %d, usage %+v, %v", model, text, got, out.Usage, err)
			}
		}
	}
	for model, code := range map[string]string{
		llama: "ValidationException", "nobody.model": "ResourceNotFoundException", "amazon.nova-pro-v1:0": "AccessDeniedException",
	} {
		_, err := count(model, "Hi")
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != code {
			t.Errorf("%s: %v, want %s", model, err, code)
		}
	}
}

func TestCountTokensRefuses(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock})
	for body, status := range map[string]int{
		`{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}}}`: 200,
		`{"input":{"converse":{"inferenceConfig":{"maxTokens":5}}}}`:                      400,
		`{"input":{"converse":{"messages":[{"role":"nobody","content":[]}]}}}`:            400,
		`{"input":{"invokeModel":{"body":"e30="}}}`:                                       400,
		`{"input":{"converse":{}},"more":1}`:                                              400,
		`{"messages":[]}`:                                                                 400,
		`[]`:                                                                              400,
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/model/"+url.PathEscape(claude)+"/count-tokens", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer bedrock-api-key-1")
		resp, err := transport(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: %d, want %d", body, resp.StatusCode, status)
		}
	}
}
