package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inEmptyDir runs a command line where there is no configuration, with a file of the
// given content as its last argument.
func inEmptyDir(t *testing.T, content string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	t.Chdir(t.TempDir())
	file := filepath.Join(t.TempDir(), "lines.jsonl")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code = command(context.Background(), append(args, file), &out, &errs)
	return out.String(), errs.String(), code
}

func TestJudgeFile(t *testing.T) {
	stdout, stderr, code := inEmptyDir(t, "\uFEFF"+`{"id":"a","reply":{"text":"Answer: Yes"},"labels":["No","Yes"]}

{"id":"b","reply":{"text":"Vielleicht."},"labels":["No","Yes"]}
{"id":"c","request":{"messages":[{"role":"user","content":"<Hi>"}]},"live":{"text":"a"},"trial":{"text":""}}`, "judge")
	want := `{"id":"a","label":"Yes","score":null,"parse":"regex"}
{"id":"b","label":null,"score":null,"parse":"failed"}
{"id":"c","checks":{"live":{"nonempty":true,"refusal":true},"trial":{"nonempty":false,"refusal":true}},"refusal":{"live":"answer","trial":"answer"},"diff":[],"attack_flags":{"live":[],"trial":[]}}
`
	if stdout != want || stderr != "" || code != exitOK {
		t.Errorf("code %d, stderr %q, stdout\n%s", code, stderr, stdout)
	}
}

// A bad line loses nobody else's verdict: each line has its object, the exit code
// tells.
func TestJudgeFileWithBadLines(t *testing.T) {
	long := `{"id":"long","reply":{"text":"` + strings.Repeat("x", longestFileLine) + `"}}`
	stdout, stderr, code := inEmptyDir(t, `{"id":"a","reply":{"text":"Answer: Yes"},"labels":["No","Yes"]}
{"id":"b"}
{"id":
`+long+`
{"id":"c","reply":{"text":"Answer: No"},"labels":["No","Yes"]}
`, "judge")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != exitFailed || len(lines) != 5 {
		t.Fatalf("code %d, %d lines, stderr %s", code, len(lines), stderr)
	}
	for i, wantError := range []bool{false, true, true, true, false} {
		var l struct{ Error, Label string }
		if err := json.Unmarshal([]byte(lines[i]), &l); err != nil || (l.Error != "") != wantError || (l.Label == "") != wantError {
			t.Errorf("line %d: %v %s", i+1, err, lines[i])
		}
	}
	if !strings.HasPrefix(lines[1], `{"id":"b","error":`) {
		t.Errorf("the id is lost: %s", lines[1])
	}
	for _, part := range []string{"line 2:", "line 3:", "line 4:", "bad lines: 3"} {
		if !strings.Contains(stderr, part) {
			t.Errorf("stderr lacks %q: %s", part, stderr)
		}
	}
}

func TestJudgeFileThatIsNotThere(t *testing.T) {
	var out, errs bytes.Buffer
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if code := command(context.Background(), []string{"judge", path}, &out, &errs); code != exitFailed || out.Len() > 0 || errs.Len() == 0 {
			t.Errorf("code %d, %s", code, errs.String())
		}
	}
	if code := command(context.Background(), []string{"judge", "a", "b"}, &out, &errs); code != exitUsage {
		t.Errorf("two files: %d", code)
	}
}

func TestJudgeFileReadsStdin(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdin
	os.Stdin = r
	defer func() { os.Stdin = old }()
	if _, err := w.WriteString(`{"id":1,"reply":{"text":"[[3]]"},"scale":[1,5]}`); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var out, errs bytes.Buffer
	if code := command(context.Background(), []string{"judge"}, &out, &errs); code != exitOK || out.String() != `{"id":1,"label":null,"score":3,"parse":"tag"}`+"\n" {
		t.Errorf("code %d, %s%s", code, out.String(), errs.String())
	}
}
