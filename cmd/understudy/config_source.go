package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// A source is a configuration file's text, searched for the lines that errors
// speak of: the TOML library gives no position for unknown keys.
type source struct{ path, text string }

// unknown words the error for a key that no section knows.
func (s *source) unknown(key toml.Key) error {
	at := s.path
	if line := s.line(key); line > 0 {
		at = fmt.Sprintf("%s:%d", s.path, line)
	}
	msg := fmt.Sprintf("%s: unknown key %q", at, key.String())
	if best := nearest(key[len(key)-1], keysBeside(key)); best != "" {
		msg += fmt.Sprintf("; did you mean %q?", best)
	}
	return fmt.Errorf("%s", msg)
}

// line finds the first line at which key is set, 0 where it is not found.
func (s *source) line(key []string) int {
	table := []string{}
	for i, line := range strings.Split(s.text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		if strings.HasPrefix(line, "[") {
			table = splitKey(strings.Trim(strings.SplitN(line, "#", 2)[0], "[] \t"))
			if slices.Equal(table, key) {
				return i + 1
			}
			continue
		}
		name, rest, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		full := append(slices.Clone(table), splitKey(strings.TrimSpace(name))...)
		if slices.Equal(full, key) {
			return i + 1
		}
		// A key of an inline table stands on the line of the table.
		if len(full) < len(key) && slices.Equal(full, key[:len(full)]) && strings.Contains(rest, key[len(key)-1]) {
			return i + 1
		}
	}
	return 0
}

// splitKey splits a dotted key, honouring quotes.
func splitKey(s string) []string {
	var parts []string
	var b strings.Builder
	quote := rune(0)
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case quote == 0 && r == '.':
			parts = append(parts, strings.TrimSpace(b.String()))
			b.Reset()
		default:
			b.WriteRune(r)
		}
	}
	return append(parts, strings.TrimSpace(b.String()))
}

// keysBeside lists the keys that may stand where key stands.
func keysBeside(key toml.Key) []string {
	t := reflect.TypeFor[Config]()
	for _, part := range key[:len(key)-1] {
		if t.Kind() == reflect.Map { // the part is a name of the file's own
			t = elem(t.Elem())
			continue
		}
		f, ok := fieldFor(t, part)
		if !ok {
			return nil
		}
		t = elem(f.Type)
	}
	var names []string
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			names = append(names, tomlName(t.Field(i)))
		}
	}
	return names
}

func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

func fieldFor(t reflect.Type, name string) (reflect.StructField, bool) {
	if t.Kind() != reflect.Struct {
		return reflect.StructField{}, false
	}
	for i := range t.NumField() {
		if tomlName(t.Field(i)) == name {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

func tomlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	if name == "-" {
		return ""
	}
	return name
}

// nearest is the candidate that is at most a third of its letters away.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if d := distance(word, c); c != "" && d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			prev, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, prev+cost)
		}
	}
	return row[len(b)]
}
