package bedrock

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	control "github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/smithy-go/auth/bearer"

	"understudy/llm"
)

const (
	// pageSize is the most entries that the service gives on one page, maxPages how
	// many pages are read: an account may have a few thousand profiles, not more.
	pageSize = 1000
	maxPages = 100
)

// A Control asks Bedrock's control plane in one region which models and inference
// profiles it has. Each question is one attempt under the endpoint's timeouts. Its
// errors are *llm.Error, classified as a Client's are.
type Control struct {
	endpoint llm.Endpoint
	client   *control.Client
}

// NewControl makes a Control for the region of ep, at its control_url or else at
// the service's own address. With a nil httpClient it has connections of its own.
// No I/O happens here.
func NewControl(ep llm.Endpoint, who Credentials, httpClient *http.Client) (*Control, error) {
	if who.Provider == nil && who.APIKey == "" {
		return nil, fmt.Errorf("endpoint %s: no AWS credentials; configure the AWS chain or api_key_env", ep.Name)
	}
	if ep.Region == "" && ep.ControlURL == "" {
		return nil, fmt.Errorf("endpoint %s: the control plane needs a region; set region, or control_url", ep.Name)
	}
	if ep.ControlURL != "" {
		if err := llm.ValidBaseURL(ep.ControlURL); err != nil {
			return nil, fmt.Errorf("endpoint %s: control_url %w", ep.Name, err)
		}
	}
	options := control.Options{
		Region: region(ep), Credentials: who.Provider, Retryer: aws.NopRetryer{},
		HTTPClient: wholeTap{oneHop(httpClient, ep.Concurrency)},
	}
	if ep.ControlURL != "" {
		options.BaseEndpoint = aws.String(ep.ControlURL)
	}
	return &Control{endpoint: ep, client: control.New(options, who.applyControl)}, nil
}

// applyControl decides the way to sign, as apply does for the runtime.
func (who Credentials) applyControl(o *control.Options) {
	if who.APIKey == "" {
		o.BearerAuthTokenProvider = nil
		o.AuthSchemePreference = []string{"sigv4"}
		return
	}
	o.BearerAuthTokenProvider = bearer.StaticTokenProvider{Token: bearer.Token{Value: who.APIKey}}
	o.BearerAuthSigner = keySigner{}
	o.AuthSchemePreference = []string{"httpBearerAuth"}
}

// A Model is a foundation model as the control plane lists it.
type Model struct {
	// ID is the plain model id, Provider the vendor's name as AWS writes it.
	ID, Provider string
	// Status is "ACTIVE" or "LEGACY", or what else the service says; "" where it
	// says nothing.
	Status string
	// Legacy and EndOfLife are when the model becomes legacy and when it ends, zero
	// where no time is set.
	Legacy, EndOfLife time.Time
	// Streaming tells whether the model streams.
	Streaming bool
	// InferenceTypes are those as the service writes them, such as "ON_DEMAND". A
	// model without that one is called through an inference profile only.
	InferenceTypes []string
	// InputModalities are such as "TEXT" and "IMAGE".
	InputModalities []string
}

// Models lists the foundation models of the region (ListFoundationModels, which
// has no pages). That a model is listed does not say that the account may call it.
func (c *Control) Models(ctx context.Context) ([]Model, error) {
	const op = "list models"
	out, err := ask(ctx, c.endpoint, op, func(ctx context.Context) (*control.ListFoundationModelsOutput, error) {
		return c.client.ListFoundationModels(ctx, &control.ListFoundationModelsInput{})
	})
	if err != nil {
		return nil, err
	}
	models := make([]Model, 0, len(out.ModelSummaries))
	for _, s := range out.ModelSummaries {
		if aws.ToString(s.ModelId) == "" {
			return nil, malformedAnswer(c.endpoint, op, "a model without an id")
		}
		models = append(models, modelOf(s))
	}
	return models, nil
}

func modelOf(s types.FoundationModelSummary) Model {
	m := Model{ID: aws.ToString(s.ModelId), Provider: aws.ToString(s.ProviderName), Streaming: aws.ToBool(s.ResponseStreamingSupported)}
	for _, t := range s.InferenceTypesSupported {
		m.InferenceTypes = append(m.InferenceTypes, string(t))
	}
	for _, t := range s.InputModalities {
		m.InputModalities = append(m.InputModalities, string(t))
	}
	if life := s.ModelLifecycle; life != nil {
		m.Status = string(life.Status)
		m.Legacy, m.EndOfLife = aws.ToTime(life.LegacyTime), aws.ToTime(life.EndOfLifeTime)
	}
	return m
}

// A Profile is an inference profile: a name under which requests go to one of
// several regions.
type Profile struct {
	ID, ARN string
	// Type is "SYSTEM_DEFINED" or "APPLICATION", Status "ACTIVE".
	Type, Status string
	// Models are the ids of the base models, Destinations the regions that the
	// profile's model ARNs name; both sorted, without doubles.
	Models, Destinations []string
	// Anywhere tells that a model ARN names no region, as those of global profiles
	// do: requests may go to any commercial region, whatever Destinations holds.
	Anywhere bool
}

// Profiles lists the inference profiles that can be called from the region: those
// that Bedrock defines and the account's application profiles (ListInferenceProfiles,
// all pages of both types). A list that does not end is an error.
func (c *Control) Profiles(ctx context.Context) ([]Profile, error) {
	var all []Profile
	for _, t := range []types.InferenceProfileType{types.InferenceProfileTypeSystemDefined, types.InferenceProfileTypeApplication} {
		of, err := c.profilesOf(ctx, t)
		if err != nil {
			return nil, err
		}
		all = append(all, of...)
	}
	return all, nil
}

func (c *Control) profilesOf(ctx context.Context, kind types.InferenceProfileType) ([]Profile, error) {
	const op = "list inference profiles"
	in := control.ListInferenceProfilesInput{TypeEquals: kind, MaxResults: aws.Int32(pageSize)}
	var all []Profile
	for range maxPages {
		out, err := ask(ctx, c.endpoint, op, func(ctx context.Context) (*control.ListInferenceProfilesOutput, error) {
			return c.client.ListInferenceProfiles(ctx, &in)
		})
		if err != nil {
			return nil, err
		}
		for _, s := range out.InferenceProfileSummaries {
			p, err := profileOf(s.InferenceProfileId, s.InferenceProfileArn, string(s.Type), string(s.Status), s.Models)
			if err != nil {
				return nil, malformedAnswer(c.endpoint, op, err.Error())
			}
			all = append(all, p)
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return all, nil
		}
	}
	return nil, malformedAnswer(c.endpoint, op, fmt.Sprintf("the list does not end after %d pages", maxPages))
}

// Profile asks for one inference profile by its id or ARN (GetInferenceProfile);
// an application profile is found by either.
func (c *Control) Profile(ctx context.Context, id string) (Profile, error) {
	const op = "get inference profile"
	out, err := ask(ctx, c.endpoint, op, func(ctx context.Context) (*control.GetInferenceProfileOutput, error) {
		return c.client.GetInferenceProfile(ctx, &control.GetInferenceProfileInput{InferenceProfileIdentifier: aws.String(id)})
	})
	if err != nil {
		return Profile{}, err
	}
	p, err := profileOf(out.InferenceProfileId, out.InferenceProfileArn, string(out.Type), string(out.Status), out.Models)
	if err != nil {
		return Profile{}, malformedAnswer(c.endpoint, op, err.Error())
	}
	return p, nil
}

func profileOf(id, arn *string, kind, status string, models []types.InferenceProfileModel) (Profile, error) {
	p := Profile{ID: aws.ToString(id), ARN: aws.ToString(arn), Type: kind, Status: status}
	if p.ID == "" {
		return p, errors.New("an inference profile without an id")
	}
	for _, m := range models {
		a, ok := parseARN(aws.ToString(m.ModelArn))
		if !ok {
			return p, fmt.Errorf("inference profile %s: %q is no model ARN", p.ID, aws.ToString(m.ModelArn))
		}
		p.Models = append(p.Models, a.id)
		if a.region == "" {
			p.Anywhere = true
		} else {
			p.Destinations = append(p.Destinations, a.region)
		}
	}
	p.Models, p.Destinations = sortedSet(p.Models), sortedSet(p.Destinations)
	return p, nil
}

func sortedSet(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

// An arn is what this package reads from an ARN of Bedrock.
type arn struct{ region, kind, id string }

// parseARN reads arn:PARTITION:bedrock:REGION:ACCOUNT:KIND/ID.
func parseARN(s string) (arn, bool) {
	f := strings.SplitN(s, ":", 6)
	if len(f) != 6 || f[0] != "arn" || f[2] != "bedrock" {
		return arn{}, false
	}
	kind, id, ok := strings.Cut(f[5], "/")
	return arn{region: f[3], kind: kind, id: id}, ok && kind != "" && id != ""
}
