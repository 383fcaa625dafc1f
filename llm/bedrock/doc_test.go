package bedrock

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write docs/translation.md anew")

// TestDoc keeps docs/translation.md equal to the tables.
func TestDoc(t *testing.T) {
	const path = "../../docs/translation.md"
	want := Doc()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("docs/translation.md is not what the tables say (%v); run make translation-doc", err)
	}
}
