package capture

import (
	"encoding/json"
	"testing"
)

func TestPointersFindWhatStandsThere(t *testing.T) {
	d := &document{body: []byte(`{"a":{"b" : {"":"empty","c/d":1,"e~f":true,"g\u0068":"escaped","null":null,"twice":1, "twice":2}, "list":[1,{"x":"y"},[]]},"s":"text"}`)}
	if !json.Valid(d.body) {
		t.Fatal("no JSON")
	}
	for at, want := range map[string]string{
		"/a/b/": "empty", "/a/b/c~1d": "1", "/a/b/e~0f": "true", "/a/b/gh": "escaped", "/a/b/null": "", "/a/b/twice": "2", "/a/list/0": "1",
		"/a/list/1/x": "y", "/a/list/2": "", "/a/list/3": "", "/a/list/-1": "", "/a/b": "", "/s": "text", "/s/x": "", "/none": "", "/a/none/x": "",
	} {
		p, err := parsePointer(at)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := d.scalar(p); got != want || ok != (want != "") {
			t.Errorf("%s is %q, %t; want %q", at, got, ok, want)
		}
	}
}
