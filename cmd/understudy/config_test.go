package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"understudy/canary"
	"understudy/capture"
	"understudy/judge"
	"understudy/llm"
)

const minimal = `
[capture.redact]
mode = "off"
[[upstream]]
name = "openai"
base_url = "https://api.openai.com"
[[submodule]]
name = "a/b"
baseline = "live"
candidates = ["cand"]
[submodule.criteria]
latency_mean_ms = 500
[[endpoint]]
name = "live"
provider = "openai"
model = "gpt-4-turbo"
[[endpoint]]
name = "cand"
provider = "bedrock"
model = "us.meta.llama3-3-70b-instruct-v1:0"
region = "us-east-1"
`

// TestShippedConfigHasEveryKey compares the keys of config.toml, commented ones
// included, with those of the structs, and its values with the defaults.
func TestShippedConfigHasEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../config.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	structKeys(reflect.TypeFor[Config](), "", want)
	got := fileKeys(string(text))
	if d := cmp.Diff(sortedSet(want), sortedSet(got)); d != "" {
		t.Error("config.toml and the structs differ (-struct +file):\n" + d)
	}
	cfg, err := loadConfig("../../config.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	def := defaultConfig()
	for name, pair := range map[string][2]any{
		"nats": {def.NATS, cfg.NATS}, "prices": {def.Prices, cfg.Prices}, "capture": {def.Capture, cfg.Capture}, "replay": {def.Replay, cfg.Replay},
		"judge": {def.Judge, cfg.Judge}, "canary": {def.Canary, cfg.Canary}, "admin": {def.Admin, cfg.Admin}, "log": {def.Log, cfg.Log},
	} {
		if d := cmp.Diff(pair[0], pair[1]); d != "" {
			t.Errorf("[%s] of config.toml differs from the defaults:\n%s", name, d)
		}
	}
	shown := cfg.Endpoints[1]
	plain := llm.DefaultEndpoint()
	plain.Name, plain.Provider, plain.Model, plain.Family, plain.Region = shown.Name, shown.Provider, shown.Model, shown.Family, shown.Region
	plain.Price, plain.Capabilities = shown.Price, []string{}
	if d := cmp.Diff(plain, shown); d != "" {
		t.Error("[[endpoint]] of config.toml differs from the defaults:\n" + d)
	}
}

// structKeys lists the keys of a struct as section.key; lists by their name.
func structKeys(t reflect.Type, prefix string, out map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := tomlName(f)
		ft := elem(f.Type)
		switch {
		case name == "":
		case ft == reflect.TypeFor[canary.Criteria]():
			for _, g := range []string{"cost_ratio", "cost_per_unit_usd", "expense_ratio", "latency_mean_ms", "ttft_mean_ms", "error_rate", "check",
				"score", "win_rate", "harmfulness", "stereotyping", "refusal", "harmfulness_margin", "stereotyping_margin", "refusal_margin", "agreement"} {
				out[prefix+name+"."+g] = true
			}
		case ft.Kind() == reflect.Map: // by names of the file's own
			structKeys(ft.Elem(), prefix+name+".", out)
		case name == "labels": // inline tables
			out[prefix+name] = true
		case ft == reflect.TypeFor[llm.Price]() || ft == reflect.TypeFor[llm.Entra]() || ft.Kind() != reflect.Struct:
			out[prefix+name] = true
		default:
			structKeys(ft, prefix+name+".", out)
		}
	}
}

var keyLine = regexp.MustCompile(`^(?:# )?([a-z_0-9]+) = `)
var tableLine = regexp.MustCompile(`^(?:# )?\[\[?([a-z_.]+)\]\]?$`)

func fileKeys(text string) map[string]bool {
	out := map[string]bool{}
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := tableLine.FindStringSubmatch(line); m != nil {
			table = m[1]
			if strings.HasPrefix(table, "unit.") {
				table = "unit"
			}
		} else if m := keyLine.FindStringSubmatch(line); m != nil {
			out[table+"."+m[1]] = true
		}
	}
	return out
}

func sortedSet(m map[string]bool) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func TestEveryKeyOfTheShippedConfigIsExplained(t *testing.T) {
	text, err := os.ReadFile("../../config.toml")
	if err != nil {
		t.Fatal(err)
	}
	// Keys that the first of their kind explains, and names that need no words.
	known := map[string]bool{}
	before := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if m := keyLine.FindStringSubmatch(line); m != nil {
			explained := strings.HasPrefix(before, "# ") || keyLine.MatchString(before)
			if !explained && !known[m[1]] {
				t.Errorf("key %s has no sentence above it", m[1])
			}
			known[m[1]] = true
		}
		before = line
	}
}

func TestOverrides(t *testing.T) {
	t.Setenv("UNDERSTUDY_NATS_DIR", "/from/env")
	t.Setenv("UNDERSTUDY_CAPTURE_SAMPLE", "0.5")
	path := writeFile(t, "config.toml", minimal)
	cfg, err := loadConfig(path, []string{
		"capture.sample=0", "admin.listen=127.0.0.1:9999", `endpoint."cand".concurrency=16`, "canary.min_span=0s",
		`submodule."a/b".risk=3`, `endpoint.cand.price={ input = 1.5, output = 2 }`, `capture.trusted_clients=["10.0.0.0/8"]`,
		`submodule."a/b".criteria.latency_mean_ms=600`, "replay.ack_wait=5s", "capture.memory=32MiB",
	})
	if err != nil {
		t.Fatal(err)
	}
	ep, _ := cfg.endpoint("cand")
	sub, _ := cfg.submodule("a/b")
	for what, ok := range map[string]bool{
		"environment over file":   cfg.NATS.Dir == "/from/env",
		"flag over environment":   cfg.Capture.Sample == 0,
		"bare string":             cfg.Admin.Listen == "127.0.0.1:9999",
		"member of a list":        ep.Concurrency == 16,
		"inline table":            ep.Price.Input == 1.5 && ep.Price.Output == 2,
		"duration":                cfg.Canary.MinSpan == 0 && cfg.Replay.AckWait.Seconds() == 5,
		"sub-module":              sub.Risk == 3,
		"gate":                    len(sub.Criteria.Gates) == 1 && sub.Criteria.Gates[0].Limit == 600,
		"list":                    slices.Equal(cfg.Capture.TrustedClients, []string{"10.0.0.0/8"}),
		"size":                    cfg.Capture.Memory == capture.Size(32<<20),
		"untouched defaults stay": ep.Timeout == llm.DefaultEndpoint().Timeout,
	} {
		if !ok {
			t.Error(what)
		}
	}
}

func TestOverrideOfOneGateKeepsTheOthers(t *testing.T) {
	path := writeFile(t, "config.toml", strings.Replace(minimal, "latency_mean_ms = 500", "latency_mean_ms = 500\nerror_rate = 0.01\ncheck = { json = 0.1 }", 1))
	cfg, err := loadConfig(path, []string{`submodule."a/b".criteria.error_rate=0.02`})
	if err != nil {
		t.Fatal(err)
	}
	sub, _ := cfg.submodule("a/b")
	want := []canary.Gate{{Name: "latency_mean_ms", Limit: 500}, {Name: "error_rate", Limit: 0.02}, {Name: "check.json", Limit: 0.1}}
	if d := cmp.Diff(want, sub.Criteria.Gates); d != "" {
		t.Error(d)
	}
}

func TestBadConfig(t *testing.T) {
	cases := map[string]struct {
		edit func(string) string
		sets []string
		want []string
	}{
		"unknown key": {edit: func(s string) string { return s + "[replay]\nconcurency = 3\n" },
			want: []string{":23: unknown key", "replay.concurency"}},
		"unknown key with a suggestion": {edit: func(s string) string { return s + "[replay]\natempts = 3\n" },
			want: []string{":23:", `did you mean "attempts"?`}},
		"unknown key of an endpoint": {edit: func(s string) string { return s + "concurency = 3\n" },
			want: []string{":22:", "endpoint.concurency", `did you mean "concurrency"?`}},
		"unknown section": {edit: func(s string) string { return s + "[rollout]\nserial = true\n" },
			want: []string{"unknown key", "rollout"}},
		"syntax":           {edit: func(s string) string { return s + "x = = 1\n" }, want: []string{":22:"}},
		"wrong type":       {edit: func(s string) string { return s + "concurrency = \"many\"\n" }, want: []string{"concurrency"}},
		"impossible value": {edit: func(s string) string { return s + "concurrency = 0\n" }, want: []string{`endpoint "cand"`, "concurrency is 0"}},
		"impossible value with its line": {edit: func(s string) string { return s + "[capture]\nsample = 2\n" },
			want: []string{":23:", "[capture] sample"}},
		"redaction neither on nor off": {edit: func(s string) string { return strings.Replace(s, `mode = "off"`, `mode = "maybe"`, 1) },
			want: []string{"redact.mode", `"on" or "off"`}},
		"unknown endpoint": {edit: func(s string) string { return strings.Replace(s, `candidates = ["cand"]`, `candidates = ["cant"]`, 1) },
			want: []string{`"cant"`, `did you mean "cand"?`, ":8:"}},
		"endpoint twice": {edit: func(s string) string {
			return s + "[[endpoint]]\nname = \"cand\"\nprovider = \"openai\"\nmodel = \"gpt-4o\"\n"
		},
			want: []string{`endpoint "cand" is there twice`}},
		"gate of a later part": {edit: func(s string) string {
			return strings.Replace(s, "latency_mean_ms = 500", "latency_p95_ratio = 1.2", 1)
		},
			want: []string{"latency_p95_ratio", "cannot be decided by this build"}},
		"score gate": {edit: func(s string) string {
			return strings.Replace(s, "latency_mean_ms = 500", "score = { style = 0.1 }", 1)
		},
			want: []string{"needs a judge model", "[judge] endpoints is empty"}},
		"quantile gate": {edit: func(s string) string {
			return strings.Replace(s, "latency_mean_ms = 500", "latency_p95_ratio = 1.2", 1)
		},
			want: []string{"latency_p95_ratio", "cannot be decided by this build"}},
		"judge of the same family": {edit: func(s string) string { return judgedBy(s, "us.meta.llama3-1-70b-instruct-v1:0") },
			want: []string{"judge is of the family llama, as is cand", "allow_same_family"}},
		"judge of live's family": {edit: func(s string) string {
			return strings.Replace(judgedBy(s, "gpt-4o"), "provider = \"bedrock\"\nmodel = \"gpt-4o\"", "provider = \"openai\"\nmodel = \"gpt-4o\"", 1)
		}, want: []string{"of the family gpt, as is live"}},
		"judge is a side": {edit: func(s string) string {
			return strings.Replace(judgedBy(s, "amazon.nova-pro-v1:0"), `endpoints = ["judge"]`, `endpoints = ["cand"]`, 1)
		}, want: []string{"cand is a side itself"}},
		"judge nobody knows": {edit: func(s string) string {
			return strings.Replace(judgedBy(s, "amazon.nova-pro-v1:0"), `endpoints = ["judge"]`, `endpoints = ["jugde"]`, 1)
		}, want: []string{"[judge]", `"jugde" has no [[endpoint]] section`}},
		"paid by the month": {edit: func(s string) string {
			return strings.Replace(s, "latency_mean_ms = 500", "cost_ratio = 0.4", 1) + "fixed_usd_month = 5000\n"
		}, want: []string{`"cand", which is paid by the month`, `cost_basis = "share"`}},
		"share of nothing": {edit: func(s string) string { return s + "fixed_usd_month = 5000\ncost_basis = \"share\"\n" },
			want: []string{"calls_month"}},
		"cost basis without a month": {edit: func(s string) string { return s + "cost_basis = \"tokens\"\n" }, want: []string{"fixed_usd_month"}},
		"auth of another provider":   {edit: func(s string) string { return s + "auth = \"sigv4\"\n" }, want: []string{`auth "sigv4"`, `provider "openai"`}},
		"the other region is the same": {edit: func(s string) string { return s + "failover_region = \"us-east-1\"\n" },
			want: []string{"failover_region"}},
		"price file that is not there": {edit: func(s string) string { return s + "[prices]\nfile = \"/nowhere.toml\"\n" }, want: []string{":23:", "/nowhere.toml"}},
		"compliance of no day":         {edit: func(s string) string { return s + "checked_on = \"last week\"\n" }, want: []string{"checked_on"}},
		"judge without a price":        {edit: func(s string) string { return judgedBy(s, "amazon.nova-ultra-v9:0") }, want: []string{"no known price"}},
		"metric nobody knows": {edit: func(s string) string {
			return strings.Replace(judgedBy(s, "amazon.nova-pro-v1:0"), "correctness", "wit", 1)
		}, want: []string{`no metric "wit"`, "[[judge.metric]]"}},
		"unit without its costs": {edit: func(s string) string { return strings.Replace(s, "latency_mean_ms = 500", "expense_ratio = 0.1", 1) }, want: []string{"expense_ratio", "other_cost_usd"}},
		"unknown gate": {edit: func(s string) string { return strings.Replace(s, "latency_mean_ms", "latency_men_ms", 1) },
			want: []string{"unknown gate", "latency_men_ms"}},
		"no price": {edit: func(s string) string {
			return strings.Replace(s, "us.meta.llama3-3-70b-instruct-v1:0", "meta.llama9-v1:0", 1)
		},
			want: []string{"no known price", "not called"}},
		"no family": {edit: func(s string) string {
			return strings.Replace(s, `model = "us.meta.llama3-3-70b-instruct-v1:0"`, "model = \"arn:aws:bedrock:us-east-1:1:application-inference-profile/x\"\nprice = { input = 1, output = 1 }", 1)
		},
			want: []string{"says no family", "set family"}},
		"half a price":     {edit: func(s string) string { return s + "price = { input = 1.0 }\n" }, want: []string{"both input and output"}},
		"empty price":      {edit: func(s string) string { return s + "price = {}\n" }, want: []string{"both input and output"}},
		"budget no number": {edit: func(s string) string { return s + "daily_usd = nan\n" }, want: []string{"daily_usd is NaN"}},
		"endless budget":   {edit: func(s string) string { return s + "[replay]\ndaily_usd = inf\n" }, want: []string{"daily_usd is +Inf"}},
		"absurd slots":     {edit: func(s string) string { return s + "concurrency = 9223372036854775807\n" }, want: []string{"1 to 10000"}},
		"no credentials": {edit: func(s string) string {
			return s + "[nats]\nmode = \"external\"\nurl = \"nats://127.0.0.1:1\"\ncredentials = \"/nowhere\"\n"
		}, want: []string{"credentials cannot be read"}},
		"set two lines":    {sets: []string{"replay.daily_usd=1\n[log]\nlevel=\"debug\""}, want: []string{"section.key=value"}},
		"plain http":       {edit: func(s string) string { return strings.Replace(s, "https://api.openai.com", "http://api.openai.com", 1) }, want: []string{"plain http"}},
		"set unknown":      {sets: []string{"replay.atempts=3"}, want: []string{"--set", `did you mean "attempts"?`}},
		"set no member":    {sets: []string{"endpoint.nobody.concurrency=3"}, want: []string{`no [[endpoint]] is named "nobody"`}},
		"set without =":    {sets: []string{"replay.attempts"}, want: []string{"section.key=value"}},
		"set a wrong type": {sets: []string{"replay.attempts=many"}, want: []string{"does not fit"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			text := minimal
			if c.edit != nil {
				text = c.edit(text)
			}
			args := []string{"check", "--config", writeFile(t, "config.toml", text)}
			for _, s := range c.sets {
				args = append(args, "--set", s)
			}
			out, errs, code := cli(t, args...)
			if code != exitConfig {
				t.Fatalf("exit %d, want %d\n%s%s", code, exitConfig, out, errs)
			}
			for _, w := range c.want {
				if !strings.Contains(errs, w) {
					t.Errorf("%q is not in:\n%s", w, errs)
				}
			}
		})
	}
}

func TestEnvironmentThatFitsNoKeyIsNoted(t *testing.T) {
	t.Setenv("UNDERSTUDY_REPLAY_ATEMPTS", "3")
	_, errs, code := cli(t, "check", "--config", writeFile(t, "config.toml", minimal))
	if code != exitOK || !strings.Contains(errs, "UNDERSTUDY_REPLAY_ATEMPTS fits no key") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestMissingKeyFileStopsRun(t *testing.T) {
	text := strings.Replace(minimal, "provider = \"bedrock\"", "provider = \"openai\"\nprice = { input = 1, output = 1 }\napi_key_file = \"/nowhere/key\"", 1) +
		fmt.Sprintf("[nats]\ndir = %q\n", t.TempDir())
	_, errs, code := cli(t, "run", "--config", writeFile(t, "config.toml", text))
	if code != exitConfig || !strings.Contains(errs, "/nowhere/key") || !strings.Contains(errs, "api_key_file") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestConfigFileMissing(t *testing.T) {
	_, errs, code := cli(t, "check", "--config", "/nowhere/config.toml")
	if code != exitConfig || !strings.Contains(errs, "/nowhere/config.toml does not exist") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"chek"}, {"status", "extra"}, {"export"}, {"export", "--what", "secrets"}, {"run", "--stages", "captur"},
		{"report", "-o", "html"}, {"sim"}, {"sim", "azure"}, {"status", "--unknown"}, {"diff"}} {
		if out, errs, code := cli(t, args...); code != exitUsage || out != "" || errs == "" {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", args, code, out, errs)
		}
	}
	if out, _, code := cli(t, "help", "status"); code != 0 || !strings.HasPrefix(out, "Examples:") {
		t.Errorf("help status: exit %d, %q", code, out)
	}
	if out, _, code := cli(t, "version"); code != 0 || !strings.HasPrefix(out, "understudy ") {
		t.Errorf("version: exit %d, %q", code, out)
	}
}

// judgedBy is the minimal configuration with a score gate, judged by a Bedrock model.
func judgedBy(s, model string) string {
	s = strings.Replace(s, "latency_mean_ms = 500", "score = { correctness = 0.1 }", 1)
	return s + fmt.Sprintf("[[endpoint]]\nname = \"judge\"\nprovider = \"bedrock\"\nmodel = %q\nregion = \"us-east-1\"\n[judge]\nendpoints = [\"judge\"]\n", model)
}

// A judged sub-module is valid, and check says what its promotion will lack.
func TestJudgedConfig(t *testing.T) {
	path := writeFile(t, "config.toml", judgedBy(minimal, "amazon.nova-pro-v1:0"))
	out, errs, code := cli(t, "check", "--config", path)
	if code != 0 || !strings.Contains(out, "is valid") || !strings.Contains(errs, "no_control") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	cfg, err := loadConfig(path, []string{"endpoint.live.base_url=http://127.0.0.1:1/v1", "unit.interview.other_cost_usd=0.5", "submodule.a/b.unit=interview"})
	if err != nil {
		t.Fatal(err)
	}
	s := cfg.wired()[0]
	if !s.Judged || s.Control != "live" || s.OtherCostUSD == nil || *s.OtherCostUSD != 0.5 {
		t.Errorf("%+v", s)
	}
	if ep, _, ok := cfg.judgeOf(s); !ok || ep.Name != "judge" {
		t.Errorf("judge %q, %v", ep.Name, ok)
	}
	cfg, err = loadConfig(path, []string{"endpoint.judge.model=us.meta.llama3-1-70b-instruct-v1:0", "judge.allow_same_family=true"})
	if err != nil {
		t.Errorf("allow_same_family: %v", err)
	} else if _, _, ok := cfg.judgeOf(cfg.wired()[0]); !ok {
		t.Error("allow_same_family has no effect")
	}
}

// Each judge reads the trials of the sub-modules that it judges.
func TestJudgeScope(t *testing.T) {
	path := writeFile(t, "config.toml", judgedBy(minimal, "amazon.nova-pro-v1:0")+
		"[[endpoint]]\nname = \"idle\"\nprovider = \"bedrock\"\nmodel = \"mistral.mistral-large-2402-v1:0\"\nregion = \"us-east-1\"\nprice = { input = 1, output = 1 }\n")
	for name, want := range map[string][]string{"a/b": {"a/b"}, "*": nil} {
		cfg, err := loadConfig(path, []string{"judge.endpoints=[\"judge\",\"idle\"]"})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Submodules[0].Name = name
		var judges []judge.Judge
		for _, name := range cfg.Judge.Endpoints {
			ep, _ := cfg.endpoint(name)
			judges = append(judges, judge.Judge{Endpoint: ep})
		}
		scope := cfg.judgeScope(judges, "one")
		if diff := cmp.Diff(want, scope.Submodules("judge")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if got := scope.Submodules("idle"); got == nil || len(got) > 0 {
			t.Errorf("%s: a judge without sub-modules reads those of %v", name, got)
		}
		if j, ok := scope.Judge("a/b"); !ok || j.Endpoint.Name != "judge" {
			t.Errorf("%s: judge %q", name, j.Endpoint.Name)
		}
	}
}

func TestFamilyOf(t *testing.T) {
	for model, want := range map[string]string{"gpt-4-turbo": "gpt", "o3-mini": "gpt", "mistral-large": "mistral", "my-llama-3": "llama", "foo1": "", "claude-3": "claude"} {
		if got := familyOf(llm.Endpoint{Provider: "openai", Model: model}); got != want {
			t.Errorf("%s: %q, want %q", model, got, want)
		}
	}
	for model, want := range map[string]string{"us.amazon.nova-pro-v1:0": "nova", "anthropic.claude-v2:1": "claude", "arn:aws:bedrock:us-east-1:1:application-inference-profile/llama": ""} {
		if got := familyOf(llm.Endpoint{Provider: "bedrock", Model: model}); got != want {
			t.Errorf("%s: %q, want %q", model, got, want)
		}
	}
	if got := familyOf(llm.Endpoint{Provider: "openai", Model: "x", Family: "claude"}); got != "claude" {
		t.Errorf("declared: %q", got)
	}
}
