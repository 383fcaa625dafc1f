package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"understudy/internal/journal"
)

// TestDemoInSmall runs the demonstration's own code with few interviews: the
// figures of the full one need the machine for themselves.
func TestDemoInSmall(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Chdir(t.TempDir())
	var out, errs bytes.Buffer
	d := &demo{e: &env{stdout: &out, stderr: &errs, output: "json"}, seed: 1, start: time.Now(), interviews: 8, span: 200 * time.Millisecond}
	err := d.run(t.Context())
	var coded *codedError
	if err != nil && !(errors.As(err, &coded) && coded.code == exitInconclusive) { // a busy machine is said, and no failure here
		t.Fatal(err)
	}
	var rep struct {
		Cells    []cellShape
		Accounts StatusAccount
	}
	if err := json.Unmarshal(out.Bytes(), &rep); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if len(rep.Cells) != 6 {
		t.Errorf("%d cells, want 6", len(rep.Cells))
	}
	const n = 8 * 3 * 2
	if a := rep.Accounts; a.Received != n || a.Captured != n {
		t.Errorf("accounts %+v", a)
	}
	for name, b := range rep.Accounts.Candidates {
		if b != (journal.Buckets{Trial: n}) {
			t.Errorf("%s: %+v", name, b)
		}
	}
	for _, dir := range []string{tmp, "."} {
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}
