package capture

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestMetricsSayWhatTheAccountsSay(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{})
	for i := range maxSubmodules + 5 { // names that clients invent do not multiply the series
		ask(t, r.url+chatPath, question, "X-Understudy-Submodule", fmt.Sprint("m/", i))
	}
	ask(t, r.url+chatPath, "{")
	ask(t, r.url+"/v1/embeddings", "{}")
	r.settled(maxSubmodules + 7)
	var b bytes.Buffer
	r.set.WritePrometheus(&b)
	text := b.String()
	for _, want := range []string{
		fmt.Sprintf("understudy_capture_requests_total{outcome=\"captured\"} %d\n", maxSubmodules+5),
		"understudy_capture_requests_total{outcome=\"dropped\"} 1\n",
		"understudy_capture_requests_total{outcome=\"excluded\"} 1\n",
		"understudy_capture_dropped_total{reason=\"malformed\"} 1\n",
		"understudy_capture_passed_total{path=\"/v1/embeddings\"} 1\n",
		"understudy_capture_memory_bytes 0\n", "understudy_capture_inflight 0\n", "understudy_capture_pending 0\n",
		"understudy_capture_queue_age_seconds 0\n",
		fmt.Sprintf("understudy_capture_overhead_seconds_count %d\n", maxSubmodules+7),
		"understudy_live_response_seconds_count{submodule=\"other\"} 5\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q", want)
		}
	}
	if n := strings.Count(text, "understudy_live_response_seconds_count{"); n != maxSubmodules+1 {
		t.Errorf("%d sub-modules have series", n)
	}
}
