package canary

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sameLooks compares looks, numbers to 1e-9.
var sameLooks = cmp.Options{cmpopts.IgnoreUnexported(Finding{}), cmp.Comparer(func(a, b Number) bool {
	return a == b || !a.Known() && !b.Known() || absolute(a-b) <= 1e-9*max(1, absolute(a))
})}

func absolute(n Number) Number { return max(n, -n) }

func TestOrderOfLinesDoesNotMatter(t *testing.T) {
	s := good().with("mixed", func(s *scenario) { s.conversations, s.unknown, s.errors = 400, 0.02, 0.02 })
	lines := s.observations(3)
	want, err := Analyze(DefaultConfig(), sixGates(), slices.Clone(lines), 70)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for range 3 {
		rng.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		got, err := Analyze(DefaultConfig(), sixGates(), slices.Clone(lines), 70)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, sameLooks); diff != "" {
			t.Fatal(diff)
		}
	}
}

// Folding in any order gives the same evidence; only the drift detector may differ.
func TestFoldInAnyOrder(t *testing.T) {
	clusters := clustersOf(good().with("short", func(s *scenario) { s.conversations = 300 }).observations(4), DefaultConfig())
	fold := func() Look {
		e := NewEngine(DefaultConfig(), sixGates())
		for _, c := range clusters {
			if err := e.Fold(c); err != nil {
				t.Fatal(err)
			}
		}
		return e.Look()
	}
	want := fold()
	rand.New(rand.NewPCG(6, 6)).Shuffle(len(clusters), func(i, j int) { clusters[i], clusters[j] = clusters[j], clusters[i] })
	if diff := cmp.Diff(want, fold(), sameLooks); diff != "" {
		t.Error(diff)
	}
}

func TestClustersAndDuplicates(t *testing.T) {
	at := func(minutes int) time.Time { return day.Add(time.Duration(minutes) * time.Minute) }
	line := func(id, conversation string, minutes int) Observation {
		o := steady(1, nil)[0]
		o.ExchangeID, o.Conversation, o.At = id, conversation, at(minutes)
		return o
	}
	all := []Observation{
		line("e4", "c1", 30),                                            // at the window's end: left out
		line("e1", "c1", 0), line("e2", "c1", 29), line("e2", "c1", 29), // the same twice
		line("e3", "", 5), line("e5", "", 5), // clusters of their own
		line("e6", "c0", 5),
	}
	s := Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Criteria: Criteria{Gates: []Gate{{"error_rate", 0.05}}}}}
	unique, duplicates := withoutDuplicates(slices.Clone(all))
	var got []string
	for _, c := range clustersOf(unique, DefaultConfig()) {
		text := c.Conversation + ":"
		for _, p := range c.Pairs {
			text += " " + p.ExchangeID
		}
		got = append(got, text)
	}
	if diff := cmp.Diff([]string{"c1: e1 e2", "c0: e6", "e3: e3", "e5: e5"}, got); diff != "" || duplicates != 1 {
		t.Errorf("%d duplicates\n%s", duplicates, diff)
	}
	looks, err := Analyze(DefaultConfig(), s, all, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := looks[0]
	if l.Clusters != 4 || l.Pairs != 5 || l.Duplicates != 1 || l.Cells[0].LeftOut != 1 || l.Cells[0].Pairs != 5 {
		t.Errorf("got %+v", l)
	}
}

func TestLooks(t *testing.T) {
	s := Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Criteria: Criteria{Gates: []Gate{{"error_rate", 0.05}}}}}
	for _, c := range []struct {
		name     string
		n, every int
		want     []int
	}{
		{"only the last", 10, 0, []int{10}},
		{"a multiple: the last look once", 10, 5, []int{5, 10}},
		{"no multiple", 11, 5, []int{5, 10, 11}},
		{"empty file", 0, 5, []int{0}},
	} {
		looks, err := Analyze(DefaultConfig(), s, steady(c.n, nil), c.every)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, l := range looks {
			got = append(got, l.Clusters)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

// The JSON of a look is a contract.
func TestLookJSON(t *testing.T) {
	s := Submodules{{Name: "a/b", Baseline: "live", Candidates: []string{"cand"}, Criteria: Criteria{Gates: []Gate{{"cost_ratio", 0.4}, {"latency_mean_ms", 500}}}}}
	looks, err := Analyze(DefaultConfig(), s, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(looks[0])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"clusters":0,"pairs":0,"bad_lines":0,"duplicates":0,"cells":[{"submodule":"a/b","candidate":"cand","verdict":"COLLECTING",` +
		`"reasons":["open:cost_ratio has no data yet","open:latency_mean_ms has no data yet","open:min_conversations 0 of 200 conversations","open:min_span 0 s of 24.0 h between the first conversation and the last"],` +
		`"gates":[{"name":"cost_ratio","estimate":null,"bound":null,"interval":[null,null],"limit":0.4,"log_e_proven":"-inf","log_e_violated":"-inf","status":"no_data","clusters":0,"missing":0,"remaining":null,"noise":null},` +
		`{"name":"latency_mean_ms","estimate":null,"bound":null,"interval":[null,null],"limit":500,"log_e_proven":0,"log_e_violated":0,"status":"no_data","clusters":0,"missing":0,"remaining":null,"noise":null}],` +
		`"clusters":0,"pairs":0,"left_out":0,"control":null}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
