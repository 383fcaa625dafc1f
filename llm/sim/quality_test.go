package sim_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"understudy/llm/sim"
)

// direct calls a simulator without a network.
func direct(s *sim.Server, path, body string) answer {
	req := httptest.NewRequest("POST", path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer sk-simulated")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return answer{status: w.Code, header: w.Header(), body: w.Body.Bytes()}
}

func converseTo(model string) string { return "/model/" + url.PathEscape(model) + "/converse" }

// one makes a simulator of one persona, not on a listener.
func one(t *testing.T, kind sim.Kind, seed uint64, p sim.Persona) *sim.Server {
	t.Helper()
	s, err := sim.New(sim.Config{Kind: kind, Seed: seed, Personas: map[string]sim.Persona{"*": p}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answerField is an answer as a judge is shown it.
func answerField(text string, calls []string) string {
	for _, c := range calls {
		text += "\ncall " + c
	}
	return strings.TrimPrefix(text, "\n")
}

const (
	questionsFormat = `"response_format":{"type":"json_schema","json_schema":{"name":"q","schema":` + questionsSchema + `}}`
	questionsSchema = `{"type":"object","additionalProperties":false,"required":["questions","difficulty"],"properties":{"questions":{"type":"array","items":{"type":"string","maxLength":60},"minItems":1},"difficulty":{"type":"string","enum":["easy questions","interview"]},"minutes":{"type":"integer"},"day":{"type":"string","format":"date"}}}`
	ratingTool      = `"tool_choice":"required","tools":[{"type":"function","function":{"name":"store_rating","description":"Store the rating of one answer","parameters":` + ratingSchema + `}}]`
	ratingSchema    = `{"type":"object","required":["score","reason"],"properties":{"score":{"type":"integer","minimum":1,"maximum":5},"reason":{"type":"string"}}}`
)

// qualityForms are the three forms of an answer, with questions that make it hard:
// their words stand in names, enums and the sentences of prose as well.
var qualityForms = map[string]struct{ question, more, schema string }{
	"prose":     {"Interview %d: the nurse said: I handled case %d myself, over time and in practice. Ask one follow-up question.", "", ""},
	"short":     {"Interview %d: the engineer, part %d?", `"max_tokens":20`, ""},
	"JSON":      {"Interview %d, part %d: write easy interview questions for a bus driver.", questionsFormat, questionsSchema},
	"tool call": {"Interview %d: rate answer %d of the translator and store the rating.", ratingTool, ratingSchema},
}

// TestQualityIsReadable: the simulated judge finds the drawn label in the
// answer's words alone, in every form, and the form stays whole.
func TestQualityIsReadable(t *testing.T) {
	const n = 400
	for name, tt := range qualityForms {
		t.Run(name, func(t *testing.T) {
			s := one(t, sim.OpenAI, 3, sim.Persona{Quality: new(0.5)})
			good, judge := one(t, sim.OpenAI, 3, sim.Persona{}), one(t, sim.OpenAI, 9, sim.Persona{})
			found, seen := 0, map[float64]int{}
			for i := range n {
				question := fmt.Sprintf(tt.question, i, i%7)
				body := chatBody(question, tt.more)
				text, calls := readChatAnswer(t, direct(s, chatPath, body).body, false)
				rightText, rightCalls := readChatAnswer(t, direct(good, chatPath, body).body, false)
				want := s.DrawnCorrectness(t, body, 0)
				seen[want]++
				if want == 1 && (text != rightText || !cmp.Equal(calls, rightCalls)) {
					t.Fatalf("a right answer is another than without the dial: %q, %q", text, rightText)
				}
				if tt.schema != "" {
					sameForm(t, tt.schema, answerField(text, calls), answerField(rightText, rightCalls))
				}
				j := judged{metric: "correctness", request: "User: " + question, answers: []string{answerField(text, calls)}, labels: correctness}
				label := chatVerdict(t, judge, j).Label
				if label == correctness[int(2*want)] {
					found++
				} else {
					t.Logf("drawn %v, read %q: %s", want, label, j.answers[0])
				}
			}
			if found < n*99/100 {
				t.Errorf("%d of %d labels were read", found, n)
			}
			if len(seen) != 3 {
				t.Errorf("drawn: %v", seen)
			}
		})
	}
}

// sameForm demands that an answer is valid and differs from another in its free
// strings only.
func sameForm(t *testing.T, schema, got, other string) {
	t.Helper()
	bare := func(s string) (string, any) {
		_, s, _ = strings.Cut(s, "{")
		var v map[string]any
		if err := json.Unmarshal([]byte("{"+s), &v); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		delete(v, "questions")
		delete(v, "reason")
		return "{" + s, v
	}
	text, rest := bare(got)
	if err := against(t, schema, text); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	if _, want := bare(other); !cmp.Equal(rest, want) {
		t.Errorf("more than free text changed: %s", cmp.Diff(want, rest))
	}
}

func TestSplitOfQuality(t *testing.T) {
	for mean := 0.0; mean <= 1; mean += 0.01 {
		correct, half := sim.Split(mean)
		if correct < -1e-12 || half < 0 || correct+half > 1+1e-12 || math.Abs(correct+half/2-mean) > 1e-12 {
			t.Errorf("%v: %v right, %v half right", mean, correct, half)
		}
	}
	if c, h := sim.Split(0.7); math.Abs(c-0.55) > 1e-9 || math.Abs(h-0.3) > 1e-9 {
		t.Errorf("0.70: %v, %v", c, h)
	}
}

// TestQualityIsShared: each model has its mean, and two of the same quality err
// on the same questions, whatever their simulators' seeds; their second answers
// are drawn anew.
func TestQualityIsShared(t *testing.T) {
	const n = 4000
	quality := func(q float64) sim.Persona { return sim.Persona{Quality: &q} }
	a, b, low := one(t, sim.OpenAI, 1, quality(0.7)), one(t, sim.OpenAI, 2, quality(0.7)), one(t, sim.OpenAI, 3, quality(0.4))
	var sum, sumLow, square, differ, again float64
	for i := range n {
		body := chatBody(fmt.Sprintf("Interview %d: rate the answer.", i), "")
		x, y := a.DrawnCorrectness(t, body, 0), b.DrawnCorrectness(t, body, 0)
		sum, sumLow = sum+x, sumLow+low.DrawnCorrectness(t, body, 0)
		square += (x - 0.7) * (x - 0.7)
		differ += (x - y) * (x - y)
		if x != a.DrawnCorrectness(t, body, 1) {
			again++
		}
	}
	if m := sum / n; math.Abs(m-0.7) > 0.03 {
		t.Errorf("mean %v, dialled are 0.70", m)
	}
	if m := sumLow / n; math.Abs(m-0.4) > 0.03 {
		t.Errorf("mean %v, dialled are 0.40", m)
	}
	// Independent answers would differ by twice the variance.
	if share := differ / (2 * square); share < 0.05 || share > 0.4 {
		t.Errorf("paired differences have %.2f of the spread of independent ones", share)
	}
	if again < n/20 || again > n/2 {
		t.Errorf("%v of %d second answers are of another quality", again, n)
	}
}

// TestManners: each rate shows, only there, and the judge sees it.
func TestManners(t *testing.T) {
	const n = 300
	tests := map[string]struct {
		persona sim.Persona
		metric  string
		labels  []string
		good    string
	}{
		"harm":           {sim.Persona{HarmRate: 0.2}, "harmfulness", yesNo, "No"},
		"stereotypes":    {sim.Persona{StereotypeRate: 0.2, Quality: new(0.5)}, "stereotyping", yesNo, "No"},
		"unprofessional": {sim.Persona{UnprofessionalRate: 0.2}, "style", styles, "completely yes"},
		"refusals":       {sim.Persona{RefusalRate: 0.2}, "refusal", yesNo, "No"},
	}
	for name, tt := range tests {
		for form, f := range map[string]string{"prose": "", "JSON": `"response_format":{"type":"json_schema","json_schema":{"name":"q","schema":{"type":"object","required":["a"],"properties":{"a":{"type":"string"}}}}}`} {
			t.Run(name+" in "+form, func(t *testing.T) {
				s, judge := one(t, sim.OpenAI, 1, tt.persona), one(t, sim.OpenAI, 2, sim.Persona{})
				hits := 0
				for i := range n {
					question := fmt.Sprintf("Describe river number %d.", i)
					text, _ := readChatAnswer(t, direct(s, chatPath, chatBody(question, f)).body, false)
					v := chatVerdict(t, judge, judged{metric: tt.metric, request: "User: " + question, answers: []string{text}, labels: tt.labels})
					if v.Label != tt.good {
						hits++
					}
				}
				if hits < n/10 || hits > n*3/10 {
					t.Errorf("%d of %d, want about a fifth", hits, n)
				}
			})
		}
	}
}

// TestQualityMovesNoOtherDraw: latency, usage, errors and refusals are those of
// the same run without the dials.
func TestQualityMovesNoOtherDraw(t *testing.T) {
	plain := sim.Persona{ErrorRate: 0.2, RefusalRate: 0.2, InvalidJSONRate: 0.2, ToolMissRate: 0.2, OutputTokens: 50, OutputSpread: 0.3}
	dialled := plain
	dialled.Quality, dialled.HarmRate = new(0.0), 1
	a, b := one(t, sim.OpenAI, 1, plain), one(t, sim.OpenAI, 1, dialled)
	for i := range 200 {
		for _, more := range []string{"", questionsFormat, ratingTool} {
			body := chatBody(fmt.Sprintf("Interview %d: write questions.", i), more)
			x, y := direct(a, chatPath, body), direct(b, chatPath, body)
			if x.status != y.status {
				t.Fatalf("status %d, %d", x.status, y.status)
			}
			if x.status != 200 {
				continue
			}
			text, calls := readChatAnswer(t, x.body, false)
			other, others := readChatAnswer(t, y.body, false)
			if !cmp.Equal(x.object(t)["usage"], y.object(t)["usage"]) || (len(calls) == 0) != (len(others) == 0) ||
				json.Valid([]byte(text)) != json.Valid([]byte(other)) {
				t.Fatalf("%s\n%s", x.body, y.body)
			}
		}
	}
}
