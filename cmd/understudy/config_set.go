package main

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// set lays one override of the form section.key=value over the configuration.
// A section that is a list is addressed by the name of its member:
// endpoint."llama-3.3-70b".concurrency=16.
func (c *Config) set(override string) error {
	left, value, ok := strings.Cut(override, "=")
	if !ok || strings.ContainsAny(override, "\r\n") {
		return errors.New("want section.key=value")
	}
	path := splitKey(strings.TrimSpace(left))
	if len(path) < 2 {
		return errors.New("want section.key=value")
	}
	target, rest, err := c.target(path)
	if err != nil {
		return err
	}
	return assign(target, rest, strings.TrimSpace(value), path)
}

// target finds what a path's rest is decoded into: the configuration itself, or
// one member of a list.
func (c *Config) target(path []string) (any, []string, error) {
	v := reflect.ValueOf(c).Elem()
	f, ok := fieldFor(v.Type(), path[0])
	if !ok {
		return nil, nil, unknownPath(path[:1])
	}
	list := v.FieldByName(f.Name)
	if list.Kind() != reflect.Slice {
		return c, path, nil
	}
	for i := range list.Len() {
		if member := list.Index(i); member.FieldByName("Name").String() == path[1] && len(path) > 2 {
			return member.Addr().Interface(), path[2:], nil
		}
	}
	return nil, nil, fmt.Errorf("no [[%s]] is named %q", path[0], path[1])
}

// assign decodes value, as TOML or else as a bare string, under the key rest.
func assign(target any, rest []string, value string, path []string) error {
	quoted := make([]string, len(rest))
	for i, k := range rest {
		quoted[i] = strconv.Quote(k)
	}
	key := strings.Join(quoted, ".")
	md, err := toml.Decode(key+" = "+value, target)
	if err != nil {
		var again error
		if md, again = toml.Decode(key+" = "+strconv.Quote(value), target); again != nil {
			return fmt.Errorf("value %q does not fit: %w", value, err)
		}
	}
	if len(md.Undecoded()) > 0 {
		return unknownPath(path)
	}
	return nil
}

func unknownPath(path []string) error {
	msg := fmt.Sprintf("unknown key %q", strings.Join(path, "."))
	if best := nearest(path[len(path)-1], keysBeside(path)); best != "" {
		msg += fmt.Sprintf("; did you mean %q?", best)
	}
	return errors.New(msg)
}

const environmentPrefix = "UNDERSTUDY_"

// applyEnvironment lays UNDERSTUDY_SECTION_KEY over the configuration. Lists
// have no variable. A variable that fits no key is no error, since service
// managers make such names of their own (UNDERSTUDY_SERVICE_HOST), but noted.
func (c *Config) applyEnvironment(environ []string) error {
	paths := map[string][]string{}
	scalarPaths(reflect.TypeFor[Config](), nil, func(path []string) {
		paths[environmentPrefix+strings.ToUpper(strings.Join(path, "_"))] = path
	})
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, environmentPrefix) {
			continue
		}
		path, ok := paths[name]
		if !ok {
			c.unused = append(c.unused, name)
			continue
		}
		if err := assign(c, path, value, path); err != nil {
			return fmt.Errorf("%w: environment variable %s: %w", errConfig, name, err)
		}
	}
	return nil
}

// scalarPaths visits every key of t that is no list, tables included by their keys.
func scalarPaths(t reflect.Type, path []string, visit func([]string)) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := tomlName(f)
		if name == "" {
			continue
		}
		here := append(append([]string{}, path...), name)
		switch {
		case f.Type.Kind() == reflect.Slice || f.Type.Kind() == reflect.Map:
		case f.Type.Kind() == reflect.Struct:
			scalarPaths(f.Type, here, visit)
		default:
			visit(here)
		}
	}
}
