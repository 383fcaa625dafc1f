package replay

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/sim"
)

// What a provider does to a call ends in its class: as a failed trial after all
// attempts, as an answer once it stops, or, where the fault is ours, as no trial at all.
func TestFaultMatrix(t *testing.T) {
	const attempts = 2
	for name, c := range map[string]struct {
		fault sim.Fault
		class llm.Class
		// ours: no trial; the endpoint waits until it is over.
		ours bool
		// once: asking again would be no use.
		once bool
	}{
		"throttle":                    {fault: sim.Fault{Kind: sim.FaultThrottle}, class: llm.ClassThrottled, ours: true},
		"throttle with Retry-After":   {fault: sim.Fault{Kind: sim.FaultThrottle, RetryAfterS: 1}, class: llm.ClassThrottled, ours: true},
		"throttle mid-stream":         {fault: sim.Fault{Kind: sim.FaultException, Code: "throttlingException"}, class: llm.ClassThrottled, ours: true},
		"500":                         {fault: sim.Fault{Kind: sim.FaultServerError}, class: llm.ClassOverloaded},
		"503":                         {fault: sim.Fault{Kind: sim.FaultUnavailable}, class: llm.ClassOverloaded},
		"model timeout":               {fault: sim.Fault{Kind: sim.FaultTimeout}, class: llm.ClassTimeout},
		"model not ready":             {fault: sim.Fault{Kind: sim.FaultNotReady}, class: llm.ClassOverloaded},
		"stall before a byte":         {fault: sim.Fault{Kind: sim.FaultStall, ForMS: 1500}, class: llm.ClassTimeout},
		"stall mid-stream":            {fault: sim.Fault{Kind: sim.FaultStallMid, ForMS: 1500}, class: llm.ClassTimeout},
		"cut":                         {fault: sim.Fault{Kind: sim.FaultCut}, class: llm.ClassTruncated},
		"cut inside a frame":          {fault: sim.Fault{Kind: sim.FaultCutInside}, class: llm.ClassTruncated},
		"clean end inside a frame":    {fault: sim.Fault{Kind: sim.FaultEndInside}, class: llm.ClassTruncated},
		"end before messageStop":      {fault: sim.Fault{Kind: sim.FaultMissingEnd}, class: llm.ClassTruncated},
		"CRC error":                   {fault: sim.Fault{Kind: sim.FaultBadFrame}, class: llm.ClassStream},
		"exception mid-stream":        {fault: sim.Fault{Kind: sim.FaultException}, class: llm.ClassStream},
		"server fault mid-stream":     {fault: sim.Fault{Kind: sim.FaultException, Code: "internalServerException"}, class: llm.ClassOverloaded},
		"validation fails mid-stream": {fault: sim.Fault{Kind: sim.FaultException, Code: "validationException"}, class: llm.ClassInvalid, once: true},
		"slow frames":                 {fault: sim.Fault{Kind: sim.FaultSlow, ForMS: 5}, class: llm.ClassOK, once: true},
		"unknown block":               {fault: sim.Fault{Kind: sim.FaultUnknown}, class: llm.ClassOK, once: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.fault.Count = attempts
			stands := faulty(t, c.fault, attempts)
			wantAttempts := attempts
			if c.once {
				wantAttempts = 1
			}
			if c.ours {
				if stands.Class != llm.ClassOK || len(stands.Attempts) != 1 {
					t.Errorf("a fault of ours became a trial: %s after %d attempts", stands.Class, len(stands.Attempts))
				}
				return
			}
			if stands.Disposition != journal.Tried || stands.Class != c.class || len(stands.Attempts) != wantAttempts {
				t.Errorf("%s: %s after %d attempts, want %s after %d", stands.Disposition, stands.Class, len(stands.Attempts), c.class, wantAttempts)
			}
			if c.fault.Kind == sim.FaultUnknown && !strings.Contains(gapReasons(stands), "unknown_block") {
				t.Errorf("gaps %v", stands.Gaps)
			}
			if c.once || c.class == llm.ClassOK {
				return
			}
			c.fault.Count = 1
			over := faulty(t, c.fault, attempts)
			if over.Class != llm.ClassOK || len(over.Attempts) != 2 || over.Attempts[0].Class != c.class {
				t.Errorf("once the fault is over: %s, attempts %+v", over.Class, over.Attempts)
			}
		})
	}
}

func gapReasons(t *journal.Trial) string {
	var all []string
	for _, g := range t.Gaps {
		all = append(all, g.Reason)
	}
	return strings.Join(all, " ")
}

// faulty tries one exchange at a simulated Bedrock that breaks, and gives the trial.
func faulty(t *testing.T, fault sim.Fault, attempts int) *journal.Trial {
	t.Helper()
	s, err := sim.New(sim.Config{Kind: sim.Bedrock, Faults: []sim.Fault{fault}, Personas: map[string]sim.Persona{"*": {LatencyMean: 20 * time.Millisecond, TTFTShare: 0.5}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := newBench(t, &scripted{})
	b.cfg.Attempts = attempts
	b.ep.Provider, b.ep.Model, b.ep.Region, b.ep.BaseURL = "bedrock", "anthropic.claude-3-5-sonnet-20240620-v1:0", "us-east-1", s.URL()
	b.ep.Timeout, b.ep.StallTimeout = 700*time.Millisecond, 300*time.Millisecond
	client, err := bedrock.NewClient(b.ep, bedrock.Credentials{Provider: credentials.NewStaticCredentialsProvider("AKIATEST000000000000", "test", "")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := b.as(journal.RoleCandidate, "a/b")
	c.Client = client
	all := publish(t, b.j, 1, nil)
	_, stop := b.run("one", nil, c)
	defer stop()
	tr := b.trials(1)[all[0].ID]
	if left := faultsLeft(t, s.URL()); left != 0 && fault.Count > 0 && tr.Class != llm.ClassInvalid && tr.Class != llm.ClassOK {
		t.Errorf("%d faults are left", left)
	}
	return tr
}

func faultsLeft(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url + "/__fault")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	body.ReadFrom(resp.Body)
	var list struct{ Faults []sim.Fault }
	if err := json.Unmarshal(body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	return len(list.Faults)
}
