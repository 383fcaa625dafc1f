package judge

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
)

const (
	// maxDiffNodes bounds what is compared place by place: go-cmp takes
	// milliseconds for a thousand values. Larger trees differ as a whole.
	maxDiffNodes = 2_000
	// maxChanges and maxChangeBytes bound what a verdict carries.
	maxChanges     = 100
	maxChangeBytes = 2 << 10
)

// diffValues lists where two parsed JSON values differ, each path beginning
// with prefix. Values that are equal give none; go-cmp failing on what it was
// given gives one change for the whole value.
func diffValues(prefix string, live, trial any) (changes []journal.Change) {
	whole := []journal.Change{{Path: prefix, Live: live, Trial: trial}}
	ln, _ := measure(live)
	tn, _ := measure(trial)
	if ln+tn > maxDiffNodes {
		if canonicalText(live) == canonicalText(trial) {
			return nil
		}
		return whole
	}
	defer func() {
		// go-cmp panics rather than err. A tree of plain JSON values gives it
		// no cause, but a stage must not end because of one answer.
		if recover() != nil {
			changes = whole
		}
	}()
	r := &changeReporter{prefix: prefix}
	gocmp.Equal(live, trial, gocmp.Reporter(r), gocmp.Comparer(sameNumber))
	return r.changes
}

func sameNumber(a, b json.Number) bool {
	return canonicalNumber(a.String()) == canonicalNumber(b.String())
}

// changeReporter turns go-cmp's steps into JSON Pointers.
type changeReporter struct {
	prefix  string
	path    gocmp.Path
	changes []journal.Change
}

// PushStep, PopStep and Report are go-cmp's reporter.
func (r *changeReporter) PushStep(s gocmp.PathStep) { r.path = append(r.path, s) }

// PopStep leaves a place of the tree.
func (r *changeReporter) PopStep() { r.path = r.path[:len(r.path)-1] }

// Report notes a place that differs.
func (r *changeReporter) Report(result gocmp.Result) {
	if result.Equal() {
		return
	}
	live, trial := r.path.Last().Values()
	r.changes = append(r.changes, journal.Change{Path: r.pointer(), Live: plain(live), Trial: plain(trial)})
}

func (r *changeReporter) pointer() string {
	var b strings.Builder
	b.WriteString(r.prefix)
	for _, step := range r.path {
		switch s := step.(type) {
		case gocmp.MapIndex:
			b.WriteString("/" + escapePointer(s.Key().String()))
		case gocmp.SliceIndex:
			// Elements are aligned; the place is the live one, or the trial's
			// where live has no such element.
			i, j := s.SplitKeys()
			if i < 0 {
				i = j
			}
			b.WriteString("/" + strconv.Itoa(i))
		}
	}
	return b.String()
}

func plain(v reflect.Value) any {
	if !v.IsValid() || !v.CanInterface() {
		return nil
	}
	return v.Interface()
}

func escapePointer(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}

// bounded sorts changes by path and cuts them to what a verdict may carry.
func bounded(changes []journal.Change) []journal.Change {
	slices.SortStableFunc(changes, func(a, b journal.Change) int { return cmp.Compare(a.Path, b.Path) })
	if len(changes) > maxChanges {
		changes = changes[:maxChanges]
	}
	for i := range changes {
		changes[i].Live = clip(changes[i].Live)
		changes[i].Trial = clip(changes[i].Trial)
	}
	return changes
}

// clip replaces a value whose JSON is too long by the beginning of its text.
func clip(v any) any {
	text, isText := v.(string)
	if !isText {
		b, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		text = string(b)
	}
	if len(text) <= maxChangeBytes {
		return v
	}
	cut := maxChangeBytes
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
