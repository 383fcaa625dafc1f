package bedrock

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"understudy/llm"
)

const (
	llamaProfile = "us.meta.llama3-3-70b-instruct-v1:0"
	accountARN   = "arn:aws:bedrock:eu-west-1:123456789012:"
)

func placed(model, region string) llm.Endpoint {
	ep := llm.DefaultEndpoint()
	ep.Name, ep.Provider, ep.Model, ep.Region = "cand", "bedrock", model, region
	return ep
}

// now is later than every row of the table.
var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// taught is a policy that has heard of three profiles.
func taught(allowed ...string) *RegionPolicy {
	p := NewRegionPolicy(allowed)
	p.Learn("eu-west-1", []Profile{
		{ID: "eu.new.model", ARN: accountARN + "inference-profile/eu.new.model", Destinations: []string{"eu-north-1", "eu-west-1"}},
		{ID: "global.new.model", Destinations: []string{"eu-west-1"}, Anywhere: true},
		{ID: "abc123", ARN: accountARN + "application-inference-profile/abc123", Destinations: []string{"eu-west-3"}},
		{ID: "says.nothing"},
	}, now)
	return p
}

func TestDestinations(t *testing.T) {
	us := []string{"us-east-1", "us-east-2", "us-west-2"}
	const provisioned = "arn:aws:bedrock:us-west-2:123456789012:"
	for _, c := range []struct {
		model, region string
		want          []string
		source        string
	}{
		{claude, "eu-west-1", []string{"eu-west-1"}, FromRegion},
		{claude, "", nil, ""},
		{"newvendor.model-v1:0", "eu-west-1", nil, ""},
		{llamaProfile, "us-east-1", us, FromTable},
		{llamaProfile, "eu-west-1", nil, ""},
		{llamaProfile, "", nil, ""},
		{"us.meta.llama-of-tomorrow", "us-east-1", nil, ""},
		{"mx.anthropic.claude-new", "us-east-1", nil, ""},
		{"eu.new.model", "eu-west-1", []string{"eu-north-1", "eu-west-1"}, FromControl},
		{"eu.new.model", "eu-north-1", nil, ""},
		{"global.new.model", "eu-west-1", []string{"*", "eu-west-1"}, FromControl},
		{"says.nothing", "eu-west-1", nil, ""},
		{"abc123", "eu-west-1", []string{"eu-west-3"}, FromControl},
		{accountARN + "application-inference-profile/abc123", "", []string{"eu-west-3"}, FromControl},
		{accountARN + "application-inference-profile/other", "eu-west-1", nil, ""},
		{accountARN + "inference-profile/eu.new.model", "", []string{"eu-north-1", "eu-west-1"}, FromControl},
		{"arn:aws:bedrock:us-east-2:123456789012:inference-profile/" + llamaProfile, "eu-west-1", us, FromTable},
		{"arn:aws:bedrock::123456789012:inference-profile/" + llamaProfile, "us-east-1", us, FromTable},
		{"arn:aws:bedrock:us-west-2::foundation-model/newvendor.model", "eu-west-1", []string{"us-west-2"}, FromARN},
		{"arn:aws:bedrock:::foundation-model/" + claude, "eu-west-1", nil, ""},
		{provisioned + "provisioned-model/abc", "eu-west-1", []string{"us-west-2"}, FromARN},
		{provisioned + "custom-model/abc", "", []string{"us-west-2"}, FromARN},
		{provisioned + "custom-model-deployment/abc", "", []string{"us-west-2"}, FromARN},
		{provisioned + "imported-model/abc", "", []string{"us-west-2"}, FromARN},
		{provisioned + "default-prompt-router/abc", "us-west-2", nil, ""},
		{"arn:aws:sagemaker:us-west-2:123456789012:endpoint/abc", "us-west-2", nil, ""},
		{"arn:aws:bedrock", "us-west-2", nil, ""},
	} {
		got, source, ok := taught().Destinations(placed(c.model, c.region))
		if ok != (c.want != nil) || source != c.source || !cmp.Equal(got, c.want) {
			t.Errorf("%s in %q: got %v by %q, %t; want %v by %q", c.model, c.region, got, source, ok, c.want, c.source)
		}
	}
}

// TestNewerWins: between what the control plane said and the table, and between two
// things that it said.
func TestNewerWins(t *testing.T) {
	p := NewRegionPolicy(nil)
	ep := placed(llamaProfile, "us-east-1")
	said := func(at time.Time, to ...string) []string {
		p.Learn("us-east-1", []Profile{{ID: llamaProfile, Destinations: to}}, at)
		got, source, _ := p.Destinations(ep)
		return append([]string{source}, got...)
	}
	for _, step := range []struct {
		got, want []string
	}{
		{said(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "us-west-1"), []string{FromTable, "us-east-1", "us-east-2", "us-west-2"}},
		{said(now, "us-east-1"), []string{FromControl, "us-east-1"}},
		{said(now.Add(-time.Hour), "us-west-1"), []string{FromControl, "us-east-1"}},
		{said(now, "us-west-2"), []string{FromControl, "us-west-2"}},
	} {
		if !cmp.Equal(step.got, step.want) {
			t.Errorf("got %v, want %v", step.got, step.want)
		}
	}
}

func TestCheckRegionPolicy(t *testing.T) {
	us := []string{"us-east-1", "us-east-2", "us-west-2"}
	for _, c := range []struct {
		name    string
		allowed []string
		ep      llm.Endpoint
		want    string // "" where allowed
	}{
		{"no restriction", nil, placed("anything", ""), ""},
		{"own region", []string{"eu-west-1"}, placed(claude, "eu-west-1"), ""},
		{"other region", []string{"eu-west-1"}, placed(claude, "us-east-1"), "may be processed in us-east-1 (by region), and the allowed regions are eu-west-1"},
		{"all destinations", us, placed(llamaProfile, "us-west-2"), ""},
		{"some destinations", []string{"us-east-1", "us-west-2"}, placed(llamaProfile, "us-west-2"), "may be processed in us-east-2 (by table)"},
		{"region is not a destination", []string{"us-gov-west-1"}, placed("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "us-gov-east-1"), "us-gov-east-1 (by table)"},
		{"unknown profile", us, placed("us.meta.llama-of-tomorrow", "us-east-1"), "not known: run check --online"},
		{"unknown profile, all allowed", []string{"*"}, placed("us.meta.llama-of-tomorrow", "us-east-1"), "not known"},
		{"no region", us, placed(claude, ""), "not known: set region"},
		{"global", []string{"eu-west-1"}, placed("global.new.model", "eu-west-1"), "* (any commercial region) (by control plane)"},
		{"global allowed", []string{"*"}, placed("global.new.model", "eu-west-1"), ""},
		{"any commercial region", []string{"*"}, placed(llamaProfile, "us-east-1"), ""},
		{"* is not the government's", []string{"*"}, placed("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "us-gov-west-1"), "us-gov-west-1 (by table), and the allowed regions are * (any"},
		{"application profile", us, placed(accountARN+"application-inference-profile/other", "eu-west-1"), "run check --online"},
		{"router", us, placed(accountARN+"prompt-router/a", "eu-west-1"), "an ARN of the kind prompt-router names none"},
		{"bad entry", []string{"US-EAST-1"}, placed(claude, "us-east-1"), "may be processed in us-east-1"},
	} {
		err := taught(c.allowed...).Check(c.ep)
		if (err == nil) != (c.want == "") {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
			continue
		}
		var e *llm.Error
		if err != nil && (!errors.As(err, &e) || e.Class != llm.ClassAccess || !e.NotSent || e.Endpoint != "cand" || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	var none *RegionPolicy
	if err := none.Check(placed("anything", "")); err != nil {
		t.Errorf("a nil policy: %v", err)
	}
}

func TestCheckRegions(t *testing.T) {
	if err := CheckRegions([]string{"us-east-1", "ap-southeast-2", "us-gov-west-1", "us-iso-east-1", "eusc-de-east-1", "*"}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "eu", "eu.", "us-east", "US-EAST-1", "us-east-1 ", "eu-*", "arn:aws"} {
		if err := CheckRegions([]string{bad}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestPolicyNeverLeaks: whatever a profile's destinations are, and whatever is
// allowed, Check gives nil only where each of them, and the region of the call, is
// on the list.
func TestPolicyNeverLeaks(t *testing.T) {
	regions := []string{"eu-west-1", "eu-west-3", "us-east-1", "us-gov-west-1", "ap-south-1"}
	some := rapid.SliceOfDistinct(rapid.SampledFrom(regions), rapid.ID[string])
	rapid.Check(t, func(t *rapid.T) {
		to, anywhere := some.Draw(t, "destinations"), rapid.Bool().Draw(t, "anywhere")
		allowed, star := some.Draw(t, "allowed"), rapid.Bool().Draw(t, "star")
		from := rapid.SampledFrom(regions).Draw(t, "from")
		listed := slices.Clone(allowed)
		if star {
			listed = append(listed, "*")
		}
		p := NewRegionPolicy(listed)
		p.Learn(from, []Profile{{ID: "x.y.z", Destinations: to, Anywhere: anywhere}}, now)
		fine := func(r string) bool { return slices.Contains(allowed, r) || star && r != "us-gov-west-1" }
		want := len(listed) == 0 || len(to) > 0 || anywhere
		for _, r := range append(slices.Clone(to), from) {
			want = want && (len(listed) == 0 || fine(r))
		}
		if anywhere && !star && len(listed) > 0 {
			want = false
		}
		if err := p.Check(placed("x.y.z", from)); (err == nil) != want {
			t.Fatalf("allowed %v: %v", listed, err)
		}
	})
}

// TestDoKeepsThePolicy: a call that is refused is not sent.
func TestDoKeepsThePolicy(t *testing.T) {
	s, url := service(t, whole)
	client, err := NewClient(endpoint(url, "eu."+claude), signed(), nil)
	if err != nil {
		t.Fatal(err)
	}
	policy := NewRegionPolicy([]string{"eu-west-1", "eu-central-1"})
	client.Restrict(policy)
	call := &llm.Call{Body: []byte(`{}`)}
	_, err = client.Do(t.Context(), call)
	var e *llm.Error
	if !errors.As(err, &e) || e.Class != llm.ClassAccess || !e.NotSent || s.calls != 0 || !strings.Contains(e.Summary(), "eu-west-3") {
		t.Fatalf("%d calls, %v", s.calls, err)
	}
	policy.Learn("eu-west-1", []Profile{{ID: "eu." + claude, Destinations: []string{"eu-west-1"}}}, now)
	if _, err := client.Do(t.Context(), call); err != nil || s.calls != 1 {
		t.Errorf("%d calls, %v", s.calls, err)
	}
	client.Restrict(nil)
	if _, err := client.Do(t.Context(), call); err != nil || s.calls != 2 {
		t.Errorf("%d calls, %v", s.calls, err)
	}
}

// TestPolicyTogether is for the race detector.
func TestPolicyTogether(t *testing.T) {
	p := NewRegionPolicy([]string{"eu-west-1"})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				p.Learn("eu-west-1", []Profile{{ID: "a.b.c", Destinations: []string{"eu-west-1"}}}, now.Add(time.Duration(i)))
				_ = p.Check(placed("a.b.c", "eu-west-1"))
			}
		})
	}
	wg.Wait()
	if err := p.Check(placed("a.b.c", "eu-west-1")); err != nil {
		t.Error(err)
	}
}
