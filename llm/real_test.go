package llm_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
)

// TestRealRequestsAreComparable translates the recorded requests, where they are
// at hand, for the candidates that really answered them.
func TestRealRequestsAreComparable(t *testing.T) {
	file, err := os.Open(filepath.Join("..", "..", "shared", "data", "tools", "tools.jsonl.gz"))
	if err != nil {
		t.Skipf("the recorded requests (../shared beside the repository) are not here: %v", err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, 1<<20)
	n := 0
	for ; lines.Scan(); n++ {
		var row struct{ Request json.RawMessage }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		req, err := openai.Decode(row.Request)
		if err != nil {
			t.Fatal(err)
		}
		for _, model := range []string{"anthropic.claude-3-5-sonnet-20240620-v1:0", "meta.llama3-70b-instruct-v1:0"} {
			family, _ := bedrock.FamilyOf("", model)
			tr, err := bedrock.Translate(req, family.WithCapabilities([]string{"tools"}))
			if err != nil || !llm.Comparable(tr.Gaps) || !json.Valid(tr.Body) {
				t.Fatalf("line %d for %s: %v, gaps %v\n%s", n+1, model, err, tr.Gaps, tr.Body)
			}
		}
	}
	if err := lines.Err(); err != nil || n == 0 {
		t.Fatalf("%d lines, %v", n, err)
	}
}
