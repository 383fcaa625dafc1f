package judge

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDiffWords(t *testing.T) {
	got := DiffWords("The invoice is due on 3 May.", "The invoice was due on 5 May!")
	want := []Span{{"both", "The invoice "}, {"live", "is"}, {"trial", "was"}, {"both", " due on "}, {"live", "3"}, {"trial", "5"},
		{"both", " May"}, {"live", "."}, {"trial", "!"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := DiffWords("same", "same"); len(got) != 1 || got[0].Side != "both" {
		t.Errorf("%v", got)
	}
	if got := DiffWords("", ""); got != nil {
		t.Errorf("%v", got)
	}
}

// The spans always make up both texts again.
func TestDiffWordsLosesNothing(t *testing.T) {
	words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", " ", ".", "ä", "\n", "cc", "\xff"}), 0, 60)
	rapid.Check(t, func(t *rapid.T) {
		live, trial := strings.Join(words.Draw(t, "live"), ""), strings.Join(words.Draw(t, "trial"), "")
		var l, r string
		for _, s := range DiffWords(live, trial) {
			if s.Side != "trial" {
				l += s.Text
			}
			if s.Side != "live" {
				r += s.Text
			}
		}
		if l != live || r != trial {
			t.Fatalf("%q and %q became %q and %q", live, trial, l, r)
		}
	})
	long := strings.Repeat("x y ", maxWords)
	if got := DiffWords("a "+long, "b "+long+"c"); len(got) > 4 {
		t.Errorf("%d spans", len(got))
	}
}

func TestDiffJSON(t *testing.T) {
	got, ok := DiffJSON(`{"a":1,"b":[1,2]}`, `{"a":1.0,"b":[1,3],"c":null}`)
	if !ok || len(got) != 2 || got[0].Path != "/b/1" || got[1].Path != "/c" {
		t.Errorf("%v %v", got, ok)
	}
	for _, pair := range [][2]string{{`{"a":1}`, "text"}, {"1", "2"}, {"", "{}"}} {
		if _, ok := DiffJSON(pair[0], pair[1]); ok {
			t.Errorf("%v is compared as JSON", pair)
		}
	}
}
