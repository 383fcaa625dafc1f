package vendorspec

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// OpenAI is the definition of OpenAI's wire.
type OpenAI struct {
	document map[string]any
}

// ReadOpenAI reads the definition, or skips the test.
func ReadOpenAI(t testing.TB) *OpenAI {
	t.Helper()
	var o OpenAI
	read(t, "openai.openapi.json.gz", &o.document)
	o.document, _ = nullable(o.document).(map[string]any)
	return &o
}

// nullable writes OpenAPI's own "nullable" as JSON Schema has it.
func nullable(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = nullable(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = nullable(v[k])
		}
		if v["nullable"] == true {
			delete(v, "nullable")
			return map[string]any{"anyOf": []any{v, map[string]any{"type": "null"}}}
		}
	}
	return v
}

// Schema compiles a schema of the definition by its name.
func (o *OpenAI) Schema(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("openai.json", o.document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("openai.json#/components/schemas/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Validate holds a JSON text against a schema.
func Validate(s *jsonschema.Schema, text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// Fields are the paths of every field of a schema, * standing for any index, as
// deep as the definition goes.
func (o *OpenAI) Fields(name string) []string {
	components, _ := o.document["components"].(map[string]any)
	schemas, _ := components["schemas"].(map[string]any)
	found := map[string]bool{}
	var walk func(v any, path string, inside []string)
	walk = func(v any, path string, inside []string) {
		s, _ := v.(map[string]any)
		if ref, ok := s["$ref"].(string); ok {
			name := ref[strings.LastIndexByte(ref, '/')+1:]
			if !slices.Contains(inside, name) {
				walk(schemas[name], path, append(slices.Clone(inside), name))
			}
			return
		}
		for _, key := range []string{"oneOf", "anyOf", "allOf"} {
			list, _ := s[key].([]any)
			for _, one := range list {
				walk(one, path, inside)
			}
		}
		properties, _ := s["properties"].(map[string]any)
		for key, one := range properties {
			found[path+"/"+key] = true
			walk(one, path+"/"+key, inside)
		}
		if items, ok := s["items"]; ok {
			walk(items, path+"/*", inside)
		}
	}
	walk(schemas[name], "", nil)
	return slices.Sorted(maps.Keys(found))
}
