package judge

import (
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxSteps bounds the work of one validation. Recursive alternatives take time
// exponential in the depth of the value, and the validator takes no context.
const maxSteps = 300_000

// A schema is a compiled JSON Schema whose validation costs at most maxSteps.
//
// The validator calls the "format" of each schema that a value meets, so that
// is where the steps are counted; real formats are annotations and not needed.
type schema struct {
	root *jsonschema.Schema

	mu    sync.Mutex // one validation at a time: the steps are counted per run
	steps int
}

// outOfSteps ends a validation from within.
type outOfSteps struct{}

func newSchema(root *jsonschema.Schema) *schema {
	s := &schema{root: root}
	seen := map[*jsonschema.Schema]bool{}
	open := []*jsonschema.Schema{root}
	for len(open) > 0 {
		sub := open[len(open)-1]
		open = open[:len(open)-1]
		if sub == nil || seen[sub] {
			continue
		}
		seen[sub] = true
		sub.Format = s.counter(sub)
		open = append(open, subschemas(sub)...)
	}
	return s
}

// counter counts what meeting one value costs.
func (s *schema) counter(sub *jsonschema.Schema) *jsonschema.Format {
	fixed := 1
	if sub.Enum != nil {
		fixed += len(sub.Enum.Values)
	}
	patterns := len(sub.PatternProperties)
	return &jsonschema.Format{Name: "steps", Validate: func(v any) error {
		cost := fixed
		switch v := v.(type) {
		case map[string]any:
			cost += len(v) * (1 + patterns)
		case []any:
			cost += len(v)
		case string:
			if sub.Pattern != nil {
				cost += len(v) / 16
			}
		}
		if s.steps -= cost; s.steps < 0 {
			panic(outOfSteps{})
		}
		return nil
	}}
}

func (s *schema) validate(v any) (valid bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = maxSteps
	defer func() {
		switch p := recover(); p.(type) {
		case nil:
		case outOfSteps:
			valid, err = false, errTooLarge
		default:
			valid, err = false, fmt.Errorf("%w: the validator panicked", errSchema)
		}
	}()
	return s.root.Validate(v) == nil, nil
}

// subschemas are the schemas that a schema refers to, nil among them.
func subschemas(s *jsonschema.Schema) []*jsonschema.Schema {
	list := []*jsonschema.Schema{
		s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties,
		s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema,
	}
	if s.DynamicRef != nil {
		list = append(list, s.DynamicRef.Ref)
	}
	for _, l := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems} {
		list = append(list, l...)
	}
	for _, m := range []map[string]*jsonschema.Schema{s.Properties, s.DependentSchemas} {
		for _, sub := range m {
			list = append(list, sub)
		}
	}
	for _, sub := range s.PatternProperties {
		list = append(list, sub)
	}
	for _, sub := range s.Dependencies {
		list = append(list, schemasIn(sub)...)
	}
	for _, sub := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		list = append(list, schemasIn(sub)...)
	}
	return list
}

// schemasIn reads a keyword that holds a schema, a list of them, or neither.
func schemasIn(v any) []*jsonschema.Schema {
	switch v := v.(type) {
	case *jsonschema.Schema:
		return []*jsonschema.Schema{v}
	case []*jsonschema.Schema:
		return v
	}
	return nil
}
