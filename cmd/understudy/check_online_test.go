package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/sim"
	"understudy/replay"
)

// onlineSims are the two providers, and a configuration of which every endpoint is
// called there.
func onlineSims(t *testing.T, cfg sim.Config, more string) (file string, bedrock *sim.Server) {
	t.Helper()
	start := func(c sim.Config) *sim.Server {
		s, err := sim.New(c)
		if err == nil {
			err = s.Start(context.Background(), "127.0.0.1:0")
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	cfg.Kind = sim.Bedrock
	bedrock = start(cfg)
	openai := start(sim.Config{Kind: sim.OpenAI})
	awsKeys(t)
	t.Setenv("ONLINE_KEY", "sk-simulated")
	return writeFile(t, "config.toml", fmt.Sprintf(`
[nats]
dir = %q
[capture.redact]
mode = "off"
[[upstream]]
name = "openai"
base_url = %q
[[submodule]]
name = "a/b"
baseline = "live"
candidates = ["llama", "same-model"]
[submodule.criteria]
latency_mean_ms = 500
[[endpoint]]
name = "live"
provider = "openai"
model = "gpt-4-turbo"
base_url = %q
[[endpoint]]
name = "same-model"
provider = "openai"
model = "gpt-4o"
base_url = %q
api_key_env = "ONLINE_KEY"
[[endpoint]]
name = "llama"
provider = "bedrock"
model = "us.meta.llama3-3-70b-instruct-v1:0"
region = "us-east-1"
base_url = %q
control_url = %q
%s`, t.TempDir(), openai.URL(), openai.URL()+"/v1", openai.URL()+"/v1", bedrock.URL(), bedrock.URL(), more)), bedrock
}

// findings runs check --online and gives what it found as "state subject check".
func findings(t *testing.T, args ...string) (found map[string]onlineFinding, stderr string, code int) {
	t.Helper()
	out, stderr, code := cli(t, append([]string{"check", "--online", "-o", "json"}, args...)...)
	var list struct{ Findings []onlineFinding }
	if out != "" {
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	found = map[string]onlineFinding{}
	for _, f := range list.Findings {
		found[f.Subject+": "+f.Check] = f
	}
	return found, stderr, code
}

// TestCheckOnline: everything that the configuration depends on is there.
func TestCheckOnline(t *testing.T) {
	file, bedrock := onlineSims(t, sim.Config{}, "")
	found, errs, code := findings(t, "--config", file, "--yes")
	if code != exitOK {
		t.Errorf("exit %d: %s", code, errs)
	}
	for key, say := range map[string]string{
		"nats: reach":                              "embedded",
		"upstream openai: reach":                   "answers in",
		"endpoint same-model: credentials":         "ONLINE_KEY",
		"endpoint llama in us-east-1: credentials": "from EnvConfigCredentials",
		"upstream openai: clock":                   "off from here",
		"endpoint llama in us-east-1: regions":     "us-east-1, us-east-2, us-west-2 (by control plane)",
		"endpoint llama in us-east-1: model":       "listed as ACTIVE",
		"endpoint llama in us-east-1: call":        "tokens of input by the service's own count",
		"endpoint same-model: call":                "answered in",
	} {
		if f := found[key]; f.State != stateOK || !strings.Contains(f.Text, say) {
			t.Errorf("%s: %+v, want it to say %q", key, f, say)
		}
	}
	if n := bedrock.Stats()["us.meta.llama3-3-70b-instruct-v1:0"].Calls; n != 1 {
		t.Errorf("%d calls of the model", n)
	}
	for key, f := range found {
		if strings.Contains(key, "live") && (key != "endpoint live: role" || !strings.Contains(f.Text, "not called")) {
			t.Errorf("the baseline, which has no key of its own, was asked: %s", key)
		}
	}
}

// TestCheckOnlineAsksBeforeItPays: without a yes no model is called, and the exit says
// that something was not found out.
func TestCheckOnlineAsksBeforeItPays(t *testing.T) {
	file, bedrock := onlineSims(t, sim.Config{}, "")
	found, _, code := findings(t, "--config", file)
	if f := found["endpoint llama in us-east-1: call"]; code != exitInconclusive || f.State != stateSkipped || !strings.Contains(f.Text, "$") {
		t.Errorf("exit %d, %+v", code, f)
	}
	cfg, err := loadConfig(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for answer, want := range map[string]int{"n\n": 0, "\n": 0, "": 0, "y\n": 1} {
		before := bedrock.Stats()["us.meta.llama3-3-70b-instruct-v1:0"].Calls
		var out, errs bytes.Buffer
		o := newOnlineCheck(&env{stdout: &out, stderr: &errs, output: "text"}, cfg, false)
		o.asks, o.in = true, strings.NewReader(answer)
		_ = o.run(t.Context())
		if n := bedrock.Stats()["us.meta.llama3-3-70b-instruct-v1:0"].Calls - before; n != want || !strings.Contains(errs.String(), "together they cost at most $") {
			t.Errorf("answer %q: %d calls; %s", answer, n, errs.String())
		}
	}
}

// TestCheckOnlineFindsFaults: what is wrong is said for each endpoint, without stopping
// at the first.
func TestCheckOnlineFindsFaults(t *testing.T) {
	t.Run("no access", func(t *testing.T) {
		file, _ := onlineSims(t, sim.Config{NoAccess: []string{"us.meta.llama3-3-70b-instruct-v1:0"}}, "")
		found, errs, code := findings(t, "--config", file, "--yes")
		if f := found["endpoint llama in us-east-1: call"]; code != exitFailed || f.State != stateFail || !strings.Contains(f.Text, "access") || !strings.Contains(errs, "1 of") {
			t.Errorf("exit %d, %+v; %s", code, f, errs)
		}
		if f := found["endpoint same-model: call"]; f.State != stateOK {
			t.Errorf("the other endpoint: %+v", f)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		file, bedrock := onlineSims(t, sim.Config{}, "")
		_ = bedrock.Close()
		found, errs, code := findings(t, "--config", file, "--yes")
		if f := found["endpoint llama in us-east-1: call"]; code != exitUnreachable || f.State != stateFail {
			t.Errorf("exit %d, %+v; %s", code, f, errs)
		}
	})
	t.Run("no credentials", func(t *testing.T) {
		file, bedrock := onlineSims(t, sim.Config{}, "")
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		found, _, code := findings(t, "--config", file, "--yes")
		if f := found["endpoint llama in us-east-1: credentials"]; code != exitFailed || f.State != stateFail || !strings.Contains(f.Text, "AWS chain") || len(bedrock.Stats()) != 0 {
			t.Errorf("exit %d, %+v", code, f)
		}
	})
	t.Run("a region that is not allowed", func(t *testing.T) {
		file, bedrock := onlineSims(t, sim.Config{}, "")
		_, errs, code := findings(t, "--config", file, "--set", `replay.allowed_regions=["us-east-1"]`)
		if code != exitConfig || !strings.Contains(errs, "us-west-2") || !strings.Contains(errs, `"llama"`) {
			t.Errorf("exit %d: %s", code, errs)
		}
		if n := len(bedrock.Stats()); n != 0 {
			t.Errorf("%d models were called", n)
		}
	})
	t.Run("a clock that is off", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-7*time.Minute).UTC().Format(http.TimeFormat))
		}))
		defer server.Close()
		file, _ := onlineSims(t, sim.Config{}, "[[upstream]]\nname = \"late\"\nbase_url = \""+server.URL+"\"\nmatch = \"/late\"\n")
		found, _, code := findings(t, "--config", file, "--yes")
		if f := found["upstream late: clock"]; code != exitFailed || f.State != stateFail || !strings.Contains(f.Text, "-7m") {
			t.Errorf("exit %d, %+v", code, f)
		}
	})
	t.Run("a NATS that is away", func(t *testing.T) {
		file, _ := onlineSims(t, sim.Config{}, "")
		found, _, code := findings(t, "--config", file, "--yes", "--set", "nats.mode=external", "--set", "nats.url=nats://127.0.0.1:1")
		if f := found["nats: reach"]; code != exitUnreachable || f.State != stateFail {
			t.Errorf("exit %d, %+v", code, f)
		}
	})
	if _, _, code := cli(t, "check", "--yes"); code != exitUsage {
		t.Errorf("--yes without --online: exit %d", code)
	}
}

// TestRegionsAreRefused at check, where the table knows that they are left, and at every
// call, where it does not.
func TestRegionsAreRefused(t *testing.T) {
	file, _ := onlineSims(t, sim.Config{}, "")
	_, errs, code := cli(t, "check", "--config", file, "--set", `replay.allowed_regions=["eu-west-1","eu-central-1"]`)
	if code != exitConfig || !strings.Contains(errs, "config.toml:") || !strings.Contains(errs, "us-east-1, us-east-2, us-west-2") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code = cli(t, "check", "--config", file, "--set", `replay.allowed_regions=["us-east-1","us-east-2","us-west-2"]`); code != exitOK {
		t.Errorf("exit %d: %s", code, errs)
	}
	if !strings.Contains(errs, `endpoint "same-model" is not on AWS`) {
		t.Errorf("notes: %s", errs)
	}
	if _, errs, code = cli(t, "check", "--config", file, "--set", `replay.allowed_regions=["europe"]`); code != exitConfig || !strings.Contains(errs, "europe") {
		t.Errorf("exit %d: %s", code, errs)
	}
	// An API key of Bedrock on its OpenAI-shaped address is called in the address's region.
	keyed := writeFile(t, "config.toml", strings.NewReplacer(
		"provider = \"bedrock\"", "provider = \"openai\"\napi_key_env = \"ONLINE_KEY\"\nbase_url = \"https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1\"",
		"us.meta.llama3-3-70b-instruct-v1:0", "openai.gpt-oss-120b-1:0", "region = \"us-east-1\"", "").Replace(minimal))
	for allowed, want := range map[string]int{"eu-west-1": exitConfig, "us-east-1": exitOK} {
		_, errs, code := cli(t, "check", "--config", keyed, "--set", `replay.allowed_regions=["`+allowed+`"]`)
		if code != want || want == exitConfig && !strings.Contains(errs, "processed in us-east-1") {
			t.Errorf("%s: exit %d: %s", allowed, code, errs)
		}
	}
	// A profile that nobody knows is no fault of the file, and is told.
	unknown := `endpoint."llama".model="us.meta.llama9-v1:0"`
	_, errs, code = cli(t, "check", "--config", file, "--set", unknown, "--set", `endpoint."llama".family="llama"`, "--set", `endpoint."llama".price={input=1,output=1}`,
		"--set", `replay.allowed_regions=["us-east-1"]`)
	if code != exitOK || !strings.Contains(errs, "destination regions are not known") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// TestModelsShowsWhatWasStated and nothing else.
func TestModelsShowsWhatWasStated(t *testing.T) {
	file, _ := onlineSims(t, sim.Config{}, "training = \"no\"\nretention_days = 0\ncertifications = [\"ISO 27001\", \"SOC 2\"]\nsource_url = \"https://aws.example/terms\"\nchecked_on = \"2026-11-01\"\n")
	out := mustJSON[struct{ Models []modelLine }](t, "models", "--config", file, "-o", "json")
	by := map[string]modelLine{}
	for _, m := range out.Models {
		by[m.Endpoint] = m
	}
	llama := by["llama"]
	if llama.Training == nil || *llama.Training != "no" || llama.RetentionDays == nil || *llama.RetentionDays != 0 || len(llama.Certifications) != 2 || llama.SourceURL == nil || *llama.CheckedOn != "2026-11-01" {
		t.Errorf("llama %+v", llama)
	}
	if strings.Join(llama.Destinations, " ") != "us-east-1 us-east-2 us-west-2" || llama.DestinationsBy != "table" || llama.Roles[0] != "candidate" || *llama.Prices["standard"].Input != 0.72 {
		t.Errorf("llama %+v", llama)
	}
	if live := by["live"]; live.Training != nil || live.RetentionDays != nil || len(live.Certifications) != 0 || live.SourceURL != nil || live.Auth != "none" {
		t.Errorf("live %+v", live)
	}
	text, _, code := cli(t, "models", "--config", file)
	if code != exitOK || !strings.Contains(text, "ISO 27001, SOC 2") || !strings.Contains(text, "0 days") || strings.Count(text, "not stated") < 8 {
		t.Errorf("exit %d:\n%s", code, text)
	}
}

// TestCallsAreRefusedUntilTheirRegionsAreKnown: a profile that is in no table is not
// called until the control plane has said where it leads, and then only where that is
// allowed.
func TestCallsAreRefusedUntilTheirRegionsAreKnown(t *testing.T) {
	const model = "us.meta.llama3-9-70b-instruct-v1:0"
	file, server := onlineSims(t, sim.Config{Families: map[string]string{model: "llama"}, Personas: map[string]sim.Persona{model: sim.DefaultPersona()}}, "")
	for allowed, want := range map[string]llm.Class{`["us-east-1","us-east-2","us-west-2"]`: llm.ClassOK, `["us-east-1"]`: llm.ClassAccess} {
		cfg, err := loadConfig(file, []string{`endpoint."llama".model="` + model + `"`, `endpoint."llama".family="llama"`, `endpoint."llama".price={input=1,output=1}`, "replay.allowed_regions=" + allowed})
		if err != nil {
			t.Fatal(err)
		}
		policy := bedrock.NewRegionPolicy(cfg.Replay.AllowedRegions)
		candidates, err := newCandidates(cfg, bedrock.LoadCredentials, policy)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(candidates, func(c replay.Candidate) bool { return c.Endpoint.Name == "llama" })
		ask := func() llm.Class {
			call, err := candidates[i].Client.Prepare(&llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "Hi"}}}}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = candidates[i].Client.Do(t.Context(), call)
			return llm.ClassOf(err)
		}
		before := server.Stats()[model].Calls
		if got := ask(); got != llm.ClassAccess || server.Stats()[model].Calls != before {
			t.Errorf("allowed %s: before anything is known the call is %s", allowed, got)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- learnRegions(ctx, cfg, bedrock.LoadCredentials, policy, slog.New(slog.DiscardHandler)) }()
		deadline := time.Now().Add(5 * time.Second)
		for time.Now().Before(deadline) {
			if _, _, known := policy.Destinations(candidates[i].Endpoint); known {
				break
			}
			time.Sleep(10 * time.Millisecond) // between two looks, not a wait for an effect
		}
		if got := ask(); got != want {
			t.Errorf("allowed %s: once it is known the call is %s, want %s", allowed, got, want)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
