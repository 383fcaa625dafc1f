package bedrock

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClosedSchema(t *testing.T) {
	cases := []struct {
		name, schema, want string // "" for a schema that native output cannot have
		changes            []string
	}{
		{"nothing to change keeps every byte", `{ "type" : "object", "properties":{ "\u00fc": {"const":1.0e1} } ,"additionalProperties":false}`,
			`{ "type" : "object", "properties":{ "\u00fc": {"const":1.0e1} } ,"additionalProperties":false}`, nil},
		{"objects are closed, demands moved", `{"type":"object","properties":{"a":{"type":"array","minItems":2,"items":{"type":"object","properties":{}}},"b":{"type":"integer","minimum":1,"description":"An age."}}}`,
			`{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":{},"additionalProperties":false},"description":"minItems: 2"},"b":{"type":"integer","description":"An age. (minimum: 1)"}},"additionalProperties":false}`,
			[]string{"schema_closed ", "schema_keyword /properties/a/minItems", "schema_closed /properties/a/items", "schema_keyword /properties/b/minimum"}},
		{"definitions", `{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"type":"string"}},"additionalProperties":false}`,
			`{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"type":"string"}},"additionalProperties":false}`, nil},
		{"what may be null, and escapes", `{"type":"object","properties":{"a":{"type":["string","null"],"description":"the customer\u0027s"}},"required":["a"],"additionalProperties":false}`,
			`{"type":"object","properties":{"a":{"type":["string","null"],"description":"the customer\u0027s"}},"required":["a"],"additionalProperties":false}`, nil},
		{"all of several", `{"type":"object","properties":{"c":{"allOf":[{"type":"object","properties":{}}]}}}`, "", nil},
		{"an enum of objects", `{"type":"object","properties":{"c":{"enum":[{"x":1}]}}}`, "", nil},
		{"a look ahead", `{"type":"object","properties":{"c":{"pattern":"(?=x)"}}}`, "", nil},
		{"a definition that is missing", `{"type":"object","properties":{"c":{"$ref":"#/$defs/nope"}}}`, "", nil},
		{"too many that may be left out", `{"type":"object","properties":{` + manyProperties(25) + `}}`, "", nil},
		{"no object", `{"type":"array","items":{}}`, "", nil},
		{"a type in another case", `{"Type":"object","properties":{}}`, "", nil},
		{"several types", `{"type":["object","null"],"properties":{}}`, "", nil},
		{"a map", `{"type":"object","properties":{"m":{"type":"object","additionalProperties":{"type":"number"}}}}`, "", nil},
		{"any object", `{"type":"object","properties":{"m":{"type":"object"}}}`, "", nil},
		{"open by intention", `{"type":"object","properties":{},"additionalProperties":true}`, "", nil},
		{"a keyword that is not known to be taken", `{"type":"object","properties":{},"if":{}}`, "", nil},
		{"itself", `{"type":"object","properties":{"a":{"$ref":"#"}}}`, "", nil},
		{"itself, by its definition", `{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}}}}}`, "", nil},
		{"itself, by the older name", `{"type":"object","$defs":{},"definitions":{"n":{"type":"object","properties":{"n":{"$ref":"#/definitions/n"}}}},"properties":{"a":{"$ref":"#/definitions/n"}}}`, "", nil},
		{"itself, in disguise", `{"type":"object","properties":{"b":{"\u0024ref":"#"}}}`, "", nil},
		{"elsewhere", `{"type":"object","properties":{"b":{"$ref":"https://x/y.json"}}}`, "", nil},
	}
	for _, c := range cases {
		out, changes, ok := closedSchema([]byte(c.schema))
		if ok != (c.want != "") {
			t.Errorf("%s: ok %t", c.name, ok)
			continue
		}
		if !ok {
			continue
		}
		var got []string
		for _, ch := range changes {
			got = append(got, ch.kind.code+" "+ch.path)
		}
		if string(out) != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, out, c.want)
		}
		if diff := cmp.Diff(c.changes, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func manyProperties(n int) string {
	s := `"p":{}`
	for i := range n - 1 {
		s += `,"p` + strconv.Itoa(i) + `":{}`
	}
	return s
}

// growing is a schema of n definitions of which each is twice the next.
func growing(n int) string {
	s := `{"properties":{"a":{"$ref":"#/$defs/d0"}},"$defs":{`
	for i := range n {
		next := strconv.Itoa(i + 1)
		s += `"d` + strconv.Itoa(i) + `":{"properties":{"l":{"$ref":"#/$defs/d` + next + `"},"r":{"$ref":"#/$defs/d` + next + `"}}},`
	}
	return s + `"d` + strconv.Itoa(n) + `":{"type":"string"}}}`
}

func TestInlineDefinitions(t *testing.T) {
	for _, c := range []struct{ name, schema, want string }{
		{"twice, and beside words", `{"type":"object","properties":{"a":{"$ref":"#/$defs/x","title":"A"},"b":{"type":"array","items":[{"$ref":"#/$defs/x"}]}},"$defs":{"x":{"type":"object","title":"X","properties":{"y":{"$ref":"#/definitions/z"}}}},"definitions":{"z":{ "type":"string" , "n":1.50}}}`,
			`{"type":"object","properties":{"a":{"title":"A","type":"object","properties":{"y":{"type":"string","n":1.50}}},"b":{"type":"array","items":[{"type":"object","title":"X","properties":{"y":{"type":"string","n":1.50}}}]}}}`},
		{"one name in both places", `{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":"string"}},"definitions":{"x":{"type":"integer"}}}`, `{"properties":{"a":{"type":"string"}}}`},
		{"what is no reference", `{"properties":{"$ref":{"type":"string"},"b":{"default":{"$ref":"#/$defs/x"}},"c":{"$ref":"#/$defs/x","description":"a \u0026 b"}},"$defs":{"x":{"type":"string"}}}`,
			`{"properties":{"$ref":{"type":"string"},"b":{"default":{"$ref":"#/$defs/x"}},"c":{"description":"a \u0026 b","type":"string"}}}`},
		{"an empty one", `{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{}}}`, `{"properties":{"a":{}}}`},
		{"one that is missing", `{"properties":{"a":{"$ref":"#/$defs/x"}}}`, ""},
		{"one that is no object", `{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":true}}`, ""},
		{"one that grows without end", growing(40), ""},
		{"itself", `{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"items":{"$ref":"#/$defs/x"}}}}`, ""},
	} {
		out, ok := inlineDefinitions([]byte(c.schema))
		if ok != (c.want != "") || ok && string(out) != c.want {
			t.Errorf("%s: %t\n got %s\nwant %s", c.name, ok, out, c.want)
		}
	}
}
