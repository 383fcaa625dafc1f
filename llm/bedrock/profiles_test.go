package bedrock

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"understudy/llm"
)

func TestProfileDestinations(t *testing.T) {
	us := []string{"us-east-1", "us-east-2", "us-west-2"}
	for _, c := range []struct {
		id, from string
		want     []string
	}{
		// The example of AWS's own page: what counts is the profile and the source.
		{"us.anthropic.claude-3-haiku-20240307-v1:0", "us-east-2", us},
		{"us.anthropic.claude-3-haiku-20240307-v1:0", "us-west-2", []string{"us-east-1", "us-west-2"}},
		{"us.meta.llama3-3-70b-instruct-v1:0", "us-east-1", us},
		{"us.anthropic.claude-sonnet-4-6", "ca-central-1", append([]string{"ca-central-1"}, us...)},
		{"us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "us-gov-east-1", []string{"us-gov-west-1"}},
		{"eu.amazon.nova-pro-v1:0", "il-central-1", []string{"eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-3", "il-central-1"}},
		{"apac.amazon.nova-micro-v1:0", "ap-northeast-1", []string{"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2"}},
		{"global.anthropic.claude-sonnet-4-20250514-v1:0", "eu-west-1", []string{"*"}},
		// No row: neither the prefix nor a row for another source says anything.
		{"us.meta.llama3-3-70b-instruct-v1:0", "eu-west-1", nil},
		{"us.anthropic.claude-of-tomorrow", "us-east-1", nil},
		{"global.anthropic.claude-of-tomorrow", "us-east-1", nil},
		{"meta.llama3-3-70b-instruct-v1:0", "us-east-1", nil},
		{"us.meta.llama3-3-70b-instruct-v1:0", "", nil},
	} {
		got, ok := ProfileDestinations(c.id, c.from)
		if ok != (c.want != nil) || !cmp.Equal(got, c.want) {
			t.Errorf("%s from %s: got %v, %t, want %v", c.id, c.from, got, ok, c.want)
		}
	}
	got, _ := ProfileDestinations("us.meta.llama3-3-70b-instruct-v1:0", "us-east-1")
	got[0] = "changed"
	if again, _ := ProfileDestinations("us.meta.llama3-3-70b-instruct-v1:0", "us-east-1"); again[0] == "changed" {
		t.Error("the table can be changed from outside")
	}
}

// TestProfileTable: every row is of models that have a family, global ones reach
// anywhere and no others do.
func TestProfileTable(t *testing.T) {
	for key, row := range profileRows {
		if _, ok := FamilyOf("", key.id); !ok || llm.TrimRegion(key.id) == key.id {
			t.Errorf("%s is no profile of a model that is known", key.id)
		}
		if global := strings.HasPrefix(key.id, "global."); global != slices.Equal(row.Destinations, []string{"*"}) || !global && slices.Contains(row.Destinations, "*") {
			t.Errorf("%s from %s reaches %v", key.id, key.source, row.Destinations)
		}
		if !strings.HasPrefix(row.Source, "AWS, Amazon Bedrock User Guide, ") {
			t.Errorf("%s: source %q", key.id, row.Source)
		}
	}
}

func TestReadProfilesRefuses(t *testing.T) {
	const row = "[[row]]\nprofiles=[\"us.a.b\"]\nsources=[\"us-east-1\"]\ndestinations=[\"us-east-1\"]\nsource=\"x\"\nas_of=\"2026-01-01\"\nchecked_on=\"2026-01-02\"\n"
	if rows, err := readProfiles(row); err != nil || len(rows) != 1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"twice":       {row + row, "us.a.b from us-east-1 is there twice"},
		"no day":      {strings.Replace(row, "2026-01-01", "2026", 1), "row 1: as_of"},
		"checked":     {strings.Replace(row, "2026-01-02", "2025-01-02", 1), "before as_of"},
		"no source":   {strings.Replace(row, `"x"`, `""`, 1), "must be there"},
		"no region":   {strings.Replace(row, `["us-east-1"]`, `["us"]`, 1), `"us" is neither`},
		"unknown key": {row + "more=1\n", "key row.more is unknown"},
		"no TOML":     {"[[row", "read profiles.toml"},
	} {
		if _, err := readProfiles(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
