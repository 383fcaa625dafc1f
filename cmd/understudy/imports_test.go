package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is the import table of docs/architecture.md.
var allowed = map[string][]string{
	"llm":                 {},
	"llm/openai":          {"llm"},
	"llm/openai/tokens":   {"llm"},
	"llm/bedrock":         {"llm"},
	"llm/sim":             {"llm", "llm/openai", "llm/bedrock"},
	"internal/journal":    {"llm"},
	"internal/daemon":     {},
	"internal/vendorspec": {},
	"capture/redact":      {},
	"capture/spool":       {},
	"capture":             {"capture/redact", "capture/spool", "internal/journal", "llm", "llm/openai", "llm/openai/tokens"},
	"replay":              {"internal/journal", "llm", "llm/openai"},
	"judge":               {"internal/journal", "llm", "llm/openai"},
	"canary/stats":        {},
	"canary":              {"canary/stats", "internal/journal", "llm"},
	"canary/report":       {"canary", "canary/stats", "internal/journal", "llm"},
}

// TestImportsFollowTheTable is the architecture: a stage that imports another,
// or a spoke that knows its neighbour, fails here.
func TestImportsFollowTheTable(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Standard", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name, ours := strings.CutPrefix(p.ImportPath, "understudy/")
		if !ours || strings.HasPrefix(name, "cmd/") {
			continue
		}
		seen++
		may, listed := allowed[name]
		if !listed {
			t.Errorf("package %s is not in the table of docs/architecture.md", name)
		}
		for _, i := range p.Imports {
			if other, ours := strings.CutPrefix(i, "understudy/"); ours && !slices.Contains(may, other) {
				t.Errorf("%s imports %s, which the table does not allow", name, other)
			}
			if name == "llm/sim" && (i == "testing" || i == "net/http/httptest") {
				t.Errorf("%s ships in the binary and imports %s", name, i)
			}
		}
	}
	if seen != len(allowed) {
		t.Errorf("%d packages seen, %d in the table", seen, len(allowed))
	}
}
