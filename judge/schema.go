package judge

import (
	"container/list"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Bounds of a schema. The compiler's time grows with the square of the values.
const (
	maxSchemaBytes = 256 << 10
	maxSchemaNodes = 5_000
	maxSchemaDepth = 64
	// maxNumberSize bounds digits and exponent of a number that the validator
	// compares: it does so exactly, and 1e1000000 is a long number.
	maxNumberSize = 400
)

// errSchema tells that a schema cannot be used: it does not compile, refers to
// another document, or is beyond the bounds. What it was to check is neither
// good nor bad.
var errSchema = errors.New("schema cannot be used")

// A schemaCache compiles JSON Schemas and keeps the last used ones; it may be used by
// many goroutines.
//
// Schemas come from captured requests, so nothing that they name is ever
// fetched: a reference to a file or an address makes a schema unusable. A
// reference inside the document works, a recursive one too. A schema without
// $schema is read as draft 2020-12, or where that fails as draft 7 or 4.
// "format" is an annotation here and fails nothing; a "pattern" that Go's
// regexp cannot compile makes the schema unusable.
type schemaCache struct {
	size int

	mu      sync.Mutex
	entries map[[sha256.Size]byte]*list.Element
	order   *list.List // of *schemaEntry, last used first
}

type schemaEntry struct {
	key    [sha256.Size]byte
	schema *schema
	err    error
}

// newSchemaCache keeps up to size compiled schemas, failures among them.
func newSchemaCache(size int) *schemaCache {
	return &schemaCache{size: max(size, 1), entries: map[[sha256.Size]byte]*list.Element{}, order: list.New()}
}

// validate tells whether value, as a JSON tree with json.Number, is valid under
// the schema. An error means that this could not be found out: errSchema, or
// errTooLarge where the two together are beyond the bounds.
func (s *schemaCache) validate(raw json.RawMessage, value any) (bool, error) {
	c, err := s.get(raw)
	if err != nil {
		return false, err
	}
	if !numbersBounded(value) {
		return false, errTooLarge
	}
	return c.validate(value)
}

func (s *schemaCache) get(raw json.RawMessage) (*schema, error) {
	key := sha256.Sum256(raw)
	s.mu.Lock()
	if e, ok := s.entries[key]; ok {
		s.order.MoveToFront(e)
		s.mu.Unlock()
		entry := e.Value.(*schemaEntry)
		return entry.schema, entry.err
	}
	s.mu.Unlock()
	// Compiled outside the lock: two goroutines may both do it once.
	entry := &schemaEntry{key: key}
	entry.schema, entry.err = compileSchema(raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[key]; !ok {
		s.entries[key] = s.order.PushFront(entry)
		for s.order.Len() > s.size {
			last := s.order.Remove(s.order.Back()).(*schemaEntry)
			delete(s.entries, last.key)
		}
	}
	return entry.schema, entry.err
}

// schemaAddress is the base address of every schema. Nothing lies there: a
// relative reference resolves under it and is refused by the loader.
const schemaAddress = "https://schema.invalid/root.json"

// refuse is the loader of a compiler that reads nothing but its own document.
type refuse struct{}

// Load refuses every address.
func (refuse) Load(string) (any, error) {
	return nil, errors.New("references to other documents are refused")
}

func compileSchema(raw json.RawMessage) (c *schema, err error) {
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, fmt.Errorf("%w: the compiler panicked", errSchema)
		}
	}()
	if len(raw) > maxSchemaBytes {
		return nil, fmt.Errorf("%w: it is beyond %d bytes", errSchema, maxSchemaBytes)
	}
	doc, err := parseValue(string(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSchema, err)
	}
	if nodes, depth := measure(doc); nodes > maxSchemaNodes || depth > maxSchemaDepth || !numbersBounded(doc) {
		return nil, fmt.Errorf("%w: it is beyond the bounds", errSchema)
	}
	drafts := []*jsonschema.Draft{jsonschema.Draft2020, jsonschema.Draft7, jsonschema.Draft4}
	if m, ok := doc.(map[string]any); ok && m["$schema"] != nil {
		drafts = drafts[:1]
	}
	for _, draft := range drafts {
		compiler := jsonschema.NewCompiler()
		compiler.DefaultDraft(draft)
		compiler.UseLoader(refuse{})
		if err = compiler.AddResource(schemaAddress, doc); err != nil {
			break
		}
		var root *jsonschema.Schema
		if root, err = compiler.Compile(schemaAddress); err == nil {
			return newSchema(root), nil
		}
		// Only a schema that the draft's own rules refuse may be of an older
		// one: a reference that failed must not be forgotten there.
		if invalid := new(jsonschema.SchemaValidationError); !errors.As(err, &invalid) {
			break
		}
	}
	return nil, fmt.Errorf("%w: %w", errSchema, err)
}

// numbersBounded tells whether no number of the tree is too long to be compared.
func numbersBounded(v any) bool {
	switch v := v.(type) {
	case json.Number:
		mantissa, exponent, _ := strings.Cut(strings.ToLower(v.String()), "e")
		if len(mantissa) > maxNumberSize || exponent == "" {
			return len(mantissa) <= maxNumberSize
		}
		e, err := strconv.Atoi(exponent)
		return err == nil && -maxNumberSize <= e && e <= maxNumberSize
	case map[string]any:
		for _, c := range v {
			if !numbersBounded(c) {
				return false
			}
		}
	case []any:
		for _, c := range v {
			if !numbersBounded(c) {
				return false
			}
		}
	}
	return true
}
