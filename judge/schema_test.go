package judge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestSchemas(t *testing.T) {
	const tree = `{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"$ref":"#/$defs/node"}},"required":["v"]}}}`
	for _, tt := range []struct {
		name, schema, value string
		want                bool
		err                 error
	}{
		{"valid", `{"type":"object","required":["a"]}`, `{"a":1}`, true, nil},
		{"missing", `{"type":"object","required":["a"]}`, `{}`, false, nil},
		{"integer written as fraction", `{"type":"integer"}`, `3.0`, true, nil},
		{"no integer", `{"type":"integer"}`, `3.5`, false, nil},
		{"reference inside", tree, `{"v":1,"next":{"v":2,"next":{"v":3}}}`, true, nil},
		{"recursive, bad inside", tree, `{"v":1,"next":{"v":2,"next":{"v":"x"}}}`, false, nil},
		{"own address", `{"$id":"https://example.com/s","$ref":"https://example.com/s#/$defs/a","$defs":{"a":{"type":"string"}}}`, `1`, false, nil},
		{"additional", `{"type":"object","properties":{"a":{}},"additionalProperties":false}`, `{"b":1}`, false, nil},
		{"unknown format", `{"type":"string","format":"submodule-name"}`, `"x"`, true, nil},
		{"format is an annotation", `{"$schema":"http://json-schema.org/draft-07/schema#","type":"string","format":"date"}`, `"tomorrow"`, true, nil},
		{"tuple of draft 7", `{"items":[{"type":"string"},{"type":"number"}]}`, `["a","b"]`, false, nil},
		{"exclusive minimum of draft 4", `{"minimum":3,"exclusiveMinimum":true}`, `3`, false, nil},
		{"true", `true`, `1`, true, nil},
		{"no JSON", `{"type":`, `1`, false, errSchema},
		{"unknown type", `{"type":"text"}`, `1`, false, errSchema},
		{"lookahead", `{"pattern":"(?!x)"}`, `"a"`, false, errSchema},
		{"unknown dialect", `{"$schema":"https://example.com/dialect"}`, `1`, false, errSchema},
		{"relative reference", `{"$ref":"other.json"}`, `1`, false, errSchema},
		{"deep", strings.Repeat(`{"not":`, 100) + `{}` + strings.Repeat(`}`, 100), `1`, false, errSchema},
		{"large", `{"title":"` + strings.Repeat("x", maxSchemaBytes) + `"}`, `1`, false, errSchema},
		{"long number in the schema", `{"maximum":1e999999}`, `1`, false, errSchema},
		{"long number in the value", `{"type":"number","maximum":3}`, `1e999999`, false, errTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := parseValue(tt.value)
			if err != nil {
				t.Fatal(err)
			}
			got, err := newSchemaCache(1).validate(json.RawMessage(tt.schema), v)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("valid %v, error %v; want %v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

// A captured schema must not make the daemon read a file or call an address.
func TestSchemasReadNothing(t *testing.T) {
	var hits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		fmt.Fprint(w, `{"type":"string"}`)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(file, []byte(`{"type":"string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, schema := range []string{
		`{"$ref":%q}`, `{"$ref":"%s#/type"}`, `{"$schema":%q}`, `{"$id":%q,"$ref":"x.json"}`, `{"$dynamicRef":%q}`,
		`{"properties":{"a":{"$ref":%q}}}`, `{"$id":"%s/../","$ref":"schema.json"}`,
	} {
		for _, address := range []string{"file://" + file, server.URL + "/schema.json", file} {
			raw := fmt.Sprintf(schema, address)
			if ok, err := newSchemaCache(1).validate(json.RawMessage(raw), "text"); !errors.Is(err, errSchema) {
				t.Errorf("%s was used: valid %v, error %v", raw, ok, err)
			}
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// Alternatives that refer to themselves take 2^depth steps.
func TestSchemasExponential(t *testing.T) {
	for _, word := range []string{"oneOf", "anyOf", "allOf"} {
		t.Run(word, func(t *testing.T) {
			alternative := `{"properties":{"x":{"$ref":"#/$defs/a"}}}`
			raw := fmt.Sprintf(`{"$ref":"#/$defs/a","$defs":{"a":{"type":"object",%q:[%s,%s]}}}`, word, alternative, alternative)
			value, err := parseValue(strings.Repeat(`{"x":`, 60) + `1` + strings.Repeat(`}`, 60))
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			ok, err := newSchemaCache(1).validate(json.RawMessage(raw), value)
			t.Logf("valid %v, error %v after %s", ok, err, time.Since(start))
			if !errors.Is(err, errTooLarge) {
				t.Errorf("error %v, want %v", err, errTooLarge)
			}
		})
	}
}

func TestSchemasCache(t *testing.T) {
	s := newSchemaCache(2)
	first, err := s.get(json.RawMessage(`{"type":"string"}`))
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := s.get(json.RawMessage(`{"type":"string"}`)); again != first {
		t.Error("the same schema was compiled twice")
	}
	for i := range 5 {
		s.get(json.RawMessage(fmt.Sprintf(`{"maximum":%d}`, i)))
		s.get(json.RawMessage(`{"type":"string"}`))
	}
	if s.order.Len() != 2 || len(s.entries) != 2 {
		t.Errorf("%d entries in order, %d by key; want 2", s.order.Len(), len(s.entries))
	}
	if again, _ := s.get(json.RawMessage(`{"type":"string"}`)); again != first {
		t.Error("the last used schema was dropped")
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := range 50 {
				if ok, err := s.validate(json.RawMessage(fmt.Sprintf(`{"maximum":%d}`, i%4)), json.Number("9")); ok || err != nil {
					t.Errorf("valid %v, error %v", ok, err)
				}
			}
		})
	}
	wait.Wait()
}
