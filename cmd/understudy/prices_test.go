package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"understudy/llm"
)

// TestPricesOfTheCase: an interview of 30,000 + 5,000 tokens, without a configuration.
func TestPricesOfTheCase(t *testing.T) {
	t.Chdir(t.TempDir())
	for model, want := range map[string]float64{"meta.llama3-3-70b-instruct-v1:0": 0.0252, "anthropic.claude-3-sonnet-20240229-v1:0": 0.165} {
		out := mustJSON[struct {
			CheckedOn string      `json:"checked_on"`
			Prices    []priceLine `json:"prices"`
		}](t, "prices", model, "--input", "30000", "--output", "5000", "-o", "json")
		found := false
		for _, l := range out.Prices {
			if l.Tier == llm.TierStandard && l.Cost != nil && *l.Cost > want-1e-9 && *l.Cost < want+1e-9 && strings.HasPrefix(l.Source, "https://") && l.CheckedOn != "" {
				found = true
			}
		}
		if !found || out.CheckedOn == "" {
			t.Errorf("%s: no row gives $%v: %+v", model, want, out.Prices)
		}
	}
	text, _, code := cli(t, "prices", "llama3-3-70b", "--input", "30000", "--output", "5000")
	if code != exitOK || !strings.Contains(text, "$0.0252") || !strings.Contains(text, "CALL OF 30000 + 5000") {
		t.Errorf("exit %d:\n%s", code, text)
	}
}

// TestPricesOfEndpoints: where each price is from, an override, a share of the month,
// and what has no price.
func TestPricesOfEndpoints(t *testing.T) {
	own := writeFile(t, "own.toml", `
[[price]]
provider = "bedrock"
models = ["meta.llama3-3-70b-instruct-v1:0"]
input = 0.5
output = 0.6
source = "contract of 2026"
checked_on = 2026-11-01
`)
	cfg := writeFile(t, "config.toml", minimal+`
[[endpoint]]
name = "month"
provider = "bedrock"
model = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc"
family = "llama"
region = "us-east-1"
fixed_usd_month = 2400
cost_basis = "share"
calls_month = 240000
[[endpoint]]
name = "unpriced"
provider = "openai"
model = "somebody/some-model"
base_url = "https://models.example/v1"
[prices]
file = "`+own+`"
`)
	out := mustJSON[struct {
		Endpoints []priceLine `json:"endpoints"`
	}](t, "prices", "--config", cfg, "-o", "json")
	by := map[string]priceLine{}
	for _, l := range out.Endpoints {
		if l.Tier == llm.TierStandard || l.Tier == "" {
			by[l.Endpoint] = l
		}
	}
	if l := by["cand"]; l.Input == nil || *l.Input != 0.5 || l.Source != "contract of 2026" || l.CheckedOn != "2026-11-01" {
		t.Errorf("cand %+v", l)
	}
	if l := by["live"]; l.Input == nil || *l.Input != 10 || *l.Output != 30 {
		t.Errorf("live %+v", l)
	}
	if l := by["month"]; l.PerCall == nil || *l.PerCall != 0.01 || l.Input != nil {
		t.Errorf("month %+v", l)
	}
	if l := by["unpriced"]; l.Input != nil || l.Cost != nil || !strings.Contains(l.Source, "not called") {
		t.Errorf("unpriced %+v", l)
	}
	text, _, code := cli(t, "prices", "--config", cfg)
	if code != exitOK || !strings.Contains(text, "$0.01 a call") || !strings.Contains(text, "unknown") {
		t.Errorf("exit %d:\n%s", code, text[:min(len(text), 3000)])
	}
}

// TestPricesGrowOld: a table that nobody has compared for long is called old, by
// prices, check and run.
func TestPricesGrowOld(t *testing.T) {
	cfg := writeFile(t, "config.toml", minimal)
	for _, args := range [][]string{{"prices"}, {"check"}} {
		_, errs, code := cli(t, append(args, "--config", cfg, "--set", `prices.max_age="1ns"`)...)
		if code != exitOK || !strings.Contains(errs, "days old") {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
	c := defaultConfig()
	if note := c.priceNote(c.prices().CheckedOn.Add(89 * 24 * time.Hour)); note != "" {
		t.Errorf("after 89 days: %s", note)
	}
	if note := c.priceNote(c.prices().CheckedOn.Add(91 * 24 * time.Hour)); !strings.Contains(note, "91 days") {
		t.Errorf("after 91 days: %q", note)
	}
}

// TestPricesSuggest reads a price list as AWS gives it through the SDK.
func TestPricesSuggest(t *testing.T) {
	line := `{"product":{"attributes":{"servicecode":"AmazonBedrock","regionCode":"eu-west-1","model":"Nova Pro","provider":"Amazon","inferenceType":"Input tokens","usagetype":"EUW1-NovaPro-input-tokens","feature":"On-demand Inference"}},` +
		`"terms":{"OnDemand":{"a":{"priceDimensions":{"b":{"unit":"1K tokens","description":"$0.00092 per 1K input tokens for Nova Pro","pricePerUnit":{"USD":"0.0009200000"}}}}}}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ ServiceCode string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		if r.Header.Get("X-Amz-Target") != "AWSPriceListService.GetProducts" || !strings.Contains(r.Header.Get("Authorization"), "/pricing/aws4_request") {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		list := []string{}
		if in.ServiceCode == "AmazonBedrock" {
			list = append(list, line)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"FormatVersion": "aws_v1", "PriceList": list})
	}))
	defer server.Close()
	t.Chdir(t.TempDir())
	awsKeys(t)
	t.Setenv("AWS_ENDPOINT_URL_PRICING", server.URL)
	out, errs, code := cli(t, "prices", "--suggest", "--region", "eu-west-1", "nova")
	if code != exitOK || !strings.Contains(out, "0.92") || !strings.Contains(out, "1K tokens") || !strings.Contains(errs, "no model ids") {
		t.Errorf("exit %d:\n%s%s", code, out, errs)
	}
	got := mustJSON[struct{ Listed []listedLine }](t, "prices", "--suggest", "--region", "eu-west-1", "-o", "json", "nova")
	if len(got.Listed) != 1 || got.Listed[0].Million == nil || *got.Listed[0].Million != "0.92" || *got.Listed[0].Counts != "input" {
		t.Errorf("%+v", got.Listed)
	}
	server.Close()
	if _, errs, code := cli(t, "prices", "--suggest", "--region", "eu-west-1"); code != exitUnreachable {
		t.Errorf("nobody there: exit %d, %s", code, errs)
	}
}

// awsKeys sets credentials of the right form and nothing else of AWS's.
func awsKeys(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_BEARER_TOKEN_BEDROCK": "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"} {
		t.Setenv(name, value)
	}
}
