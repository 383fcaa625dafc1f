package main

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"understudy/llm/sim"
)

var update = flag.Bool("update", false, "write generated documents anew")

// TestMetricsDocumented scrapes a daemon that has seen good and bad traffic:
// every metric is in the table, and docs/metrics.md is the table.
func TestMetricsDocumented(t *testing.T) {
	tn := newTown(t, townConfig{judge: true, criteria: judgedCriteria, bedrock: sim.Config{Faults: []sim.Fault{{Kind: "throttle", Count: 1}}}, openai: sim.Config{Faults: []sim.Fault{{Kind: "server_error", Skip: 1, Count: 1}}}})
	tn.mustPost(chat("streamed", `"stream":true`))
	tn.post(chat("fails"))
	tn.post("{")
	http.Get(tn.url() + "/v1/models")
	tn.settled(2)
	eventually(t, 10*time.Second, "a look was made", func() bool { return strings.Contains(scrape(t, tn), "understudy_canary_pairs{") })
	eventually(t, 10*time.Second, "the control was asked", func() bool { return strings.Contains(scrape(t, tn), "understudy_control_trials_total{") })

	documented := map[string]bool{}
	for _, m := range metricTable {
		documented[m.name] = true
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(understudy_[a-z_]+)`).FindAllStringSubmatch(scrape(t, tn), -1) {
		name := m[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, suffix); documented[base] {
				name = base
			}
		}
		seen[name] = true
		if !documented[name] {
			t.Errorf("%s is not in the table of metrics.go", name)
		}
	}
	for name := range documented {
		// These need a broken schema, a control that is throttled while live is not, and a day of traffic.
		if !seen[name] && name != "understudy_judge_unchecked_total" && name != "understudy_control_pauses_total" && name != "understudy_budget_reach" {
			t.Errorf("%s is in the table, but the daemon does not show it", name)
		}
	}

	var doc bytes.Buffer
	writeMetricsDoc(&doc)
	const path = "../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(path, doc.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if readFile(t, path) != doc.String() {
		t.Error("docs/metrics.md is not what the code says: run make metrics-doc")
	}
}

func scrape(t testing.TB, tn *town) string {
	t.Helper()
	resp, err := http.Get("http://" + tn.p.admin.Addr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
