package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown writes the same report as GitHub Markdown, to be kept beside the
// change that it speaks for.
func (r *Report) WriteMarkdown(to io.Writer) error {
	w := bufio.NewWriter(to)
	d := r.document()
	for i, b := range d.blocks {
		if i > 0 {
			fmt.Fprintln(w)
		}
		switch b := b.(type) {
		case heading:
			fmt.Fprintln(w, strings.Repeat("#", b.level)+" "+escape(b.text))
		case paragraph:
			fmt.Fprintln(w, escape(string(b)))
		case list:
			for _, item := range b {
				fmt.Fprintln(w, "- "+escape(item))
			}
		case table:
			b.writeMarkdown(w)
		}
	}
	return w.Flush()
}

func (t *table) writeMarkdown(w io.Writer) {
	for _, c := range t.columns {
		fmt.Fprint(w, "| ", escape(c.name), " ")
	}
	fmt.Fprintln(w, "|")
	for _, c := range t.columns {
		if c.number {
			fmt.Fprint(w, "| ---: ")
			continue
		}
		fmt.Fprint(w, "| --- ")
	}
	fmt.Fprintln(w, "|")
	for _, row := range t.rows {
		for i, cell := range row {
			if t.columns[i].code {
				cell = codeSpan(cell)
			} else {
				cell = escape(cell)
			}
			fmt.Fprint(w, "| ", cell, " ")
		}
		fmt.Fprintln(w, "|")
	}
}

// markup is every character that could begin or end markup, HTML, a cell, a
// formula or an autolink of GitHub's Markdown.
const markup = "\\`*_[]<>|~#&$@"

// escape makes text mean itself.
func escape(s string) string {
	var b strings.Builder
	for _, r := range clean(s) {
		if strings.ContainsRune(markup, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// codeSpan shows an identifier, in more backticks than it holds. A bar would end
// the cell even there.
func codeSpan(s string) string {
	s = clean(s)
	if strings.Trim(s, " -") == "" {
		return escape(s)
	}
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + strings.ReplaceAll(s, "|", "\\|") + fence
}
