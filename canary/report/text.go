package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// WriteText writes the report for a terminal: the decisions first, the evidence
// second, the numbers behind it last. The wording may change; scripts read JSON.
func (r *Report) WriteText(to io.Writer) error {
	w := bufio.NewWriter(to)
	d := r.document()
	indent := ""
	for i, b := range d.blocks {
		if i > 0 && !joins(d.blocks[i-1], b) {
			fmt.Fprintln(w)
		}
		switch b := b.(type) {
		case heading:
			indent = strings.Repeat("  ", max(0, b.level-2))
			fmt.Fprintln(w, indent+clean(b.text))
			if b.level > 1 {
				indent += "  "
			}
		case paragraph:
			fmt.Fprintln(w, indent+clean(string(b)))
		case list:
			for _, item := range b {
				fmt.Fprintln(w, indent+"- "+clean(item))
			}
		case table:
			b.writeText(w, indent)
		}
	}
	return w.Flush()
}

// joins tells that no empty line stands between two blocks: what follows the
// heading of a part or a section begins right below it.
func joins(before, _ block) bool {
	h, ok := before.(heading)
	return ok && h.level > 1
}

func (t *table) writeText(w io.Writer, indent string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := make([]string, len(t.columns))
	for i, c := range t.columns {
		head[i] = c.name
	}
	for _, row := range append([][]string{head}, t.rows...) {
		for i, cell := range row {
			switch {
			case i == 0:
				fmt.Fprint(tw, indent)
			default:
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, clean(cell))
		}
		fmt.Fprintln(tw)
	}
	tw.Flush()
}

// clean replaces what could steer a terminal or break a line: names and paths in a
// report may come from a request.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, s)
}
