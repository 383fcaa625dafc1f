package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const calibrationLines = `{"id":"1","judge":"nova","group":"tone","human":1,"preference":{"lc":1,"cl":1}}
{"id":"2","judge":"nova","group":"tone","human":0,"preference":{"lc":0,"cl":1},"live_chars":10,"trial_chars":12,"difficulty":0.1}
{"id":"3","judge":"nova","group":"tone","human":null,"preference":{"lc":null,"cl":0}}
{"id":"1","judge":"llama","group":"tone","human":1,"preference":{"cl":0.25}}
`

func TestCalibrateAsJSON(t *testing.T) {
	stdout, stderr, code := inEmptyDir(t, calibrationLines, "calibrate", "-o", "json")
	want := `{"groups":[` +
		`{"judge":"llama","group":"tone","items":1,"labelled":1,"unparsed":0,"correct":{"lc":0,"cl":0,"both":0,"merged":0},"consistent":0,"decided":1,` +
		`"kappa":{"human":null,"orders":null},"win_rate":0.25,"standard_error":null,"wins":0,"losses":1,"draws":0,"length_controlled":null,"corrected":null},` +
		`{"judge":"nova","group":"tone","items":3,"labelled":2,"unparsed":1,"correct":{"lc":2,"cl":1,"both":1,"merged":1},"consistent":1,"decided":1,` +
		`"kappa":{"human":1,"orders":0},"win_rate":0.75,"standard_error":0.25,"wins":1,"losses":0,"draws":1,"length_controlled":null,"corrected":null}],"bad_lines":0}`
	var got, wanted any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(wanted)
	if string(g) != string(w) || code != exitOK || stderr != "" {
		t.Errorf("code %d, stderr %q\n got %s\nwant %s", code, stderr, g, w)
	}
}

func TestCalibrateAsText(t *testing.T) {
	stdout, _, code := inEmptyDir(t, calibrationLines, "calibrate")
	lines := strings.Split(strings.TrimRight(stdout, "\n"), "\n")
	if code != exitOK || len(lines) != 3 {
		t.Fatalf("code %d\n%s", code, stdout)
	}
	for _, column := range []string{"group", "items", "kappa human", "win rate"} {
		at := strings.Index(lines[0], column)
		for _, l := range lines[1:] {
			if at < 1 || []rune(l)[at-1] != ' ' || []rune(l)[at] == ' ' {
				t.Errorf("column %q is not aligned:\n%s", column, stdout)
			}
		}
	}
	if !strings.Contains(lines[2], "75.0 % ± 25.0") {
		t.Error(stdout)
	}
}

func TestCalibrateLeavesBadLinesOut(t *testing.T) {
	stdout, stderr, code := inEmptyDir(t, calibrationLines+"{\n"+`{"human":2,"preference":{"lc":1}}`+"\n", "calibrate", "-o", "json")
	if code != exitOK || !strings.Contains(stdout, `"bad_lines":2`) || !strings.Contains(stderr, "line 5 is left out") || !strings.Contains(stderr, "line 6 is left out") {
		t.Errorf("code %d, stderr %s, stdout %s", code, stderr, stdout)
	}
	if _, stderr, code := inEmptyDir(t, "{\n", "calibrate"); code != exitFailed || stderr == "" {
		t.Errorf("no good line: code %d, stderr %s", code, stderr)
	}
	if stdout, _, code := inEmptyDir(t, "", "calibrate", "-o", "json"); code != exitOK || !strings.HasPrefix(stdout, `{"groups":[]`) {
		t.Errorf("an empty file: code %d, %s", code, stdout)
	}
	if _, _, code := inEmptyDir(t, "", "calibrate", "-o", "html"); code != exitUsage {
		t.Errorf("an unknown form: code %d", code)
	}
}
