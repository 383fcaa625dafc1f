package report

import (
	"strings"
	"testing"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain, words: 5 % (n)":  "plain, words: 5 % (n)",
		"a|b":                    `a\|b`,
		"<script>&lt;":           `\<script\>\&lt;`,
		"*x* _y_ `z` ~w~":        "\\*x\\* \\_y\\_ \\`z\\` \\~w\\~",
		"[link](http://x) #1 $x": `\[link\](http://x) \#1 \$x`,
		`\|`:                     `\\\|`,
		"two\nlines\x1b[31m":     `two lines \[31m`,
		"right\u202eleft":        "right left",
	} {
		if got := escape(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestCodeSpan(t *testing.T) {
	for in, want := range map[string]string{
		"latency_mean_ms": "`latency_mean_ms`",
		"a|b":             "`a\\|b`",
		"a`b":             "``a`b``",
		"`a":              "`` `a ``",
		"@name <b>":       "`@name <b>`",
		"-":               "-",
		"":                "",
		"a\nb":            "`a b`",
	} {
		if got := codeSpan(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Text and Markdown hold the same headings, sentences and cells.
func TestTextAndMarkdownSayTheSame(t *testing.T) {
	r := filledReport()
	text, markdown := written(t, r.WriteText), written(t, r.WriteMarkdown)
	for _, b := range r.document().blocks {
		switch b := b.(type) {
		case heading:
			both(t, text, markdown, b.text, escape(b.text))
		case paragraph:
			both(t, text, markdown, string(b), escape(string(b)))
		case list:
			for _, item := range b {
				both(t, text, markdown, item, escape(item))
			}
		case table:
			for _, row := range b.rows {
				if len(row) != len(b.columns) {
					t.Errorf("row of %d cells under %d columns: %q", len(row), len(b.columns), row)
				}
				for _, cell := range row {
					both(t, text, markdown, cell, "")
				}
			}
		}
	}
	for i, line := range strings.Split(markdown, "\n") {
		if strings.HasPrefix(line, "|") && !strings.HasSuffix(line, "|") {
			t.Errorf("line %d is a broken row: %s", i+1, line)
		}
	}
}

func both(t *testing.T, text, markdown, inText, inMarkdown string) {
	t.Helper()
	if !strings.Contains(text, inText) {
		t.Errorf("the text lacks %q", inText)
	}
	if !strings.Contains(markdown, inMarkdown) {
		t.Errorf("the Markdown lacks %q", inMarkdown)
	}
}

func TestTextCannotSteerATerminal(t *testing.T) {
	r := filledReport()
	r.Cells[2].Gaps[0].Path = "/x\x1b[2J\n/y"
	if text := written(t, r.WriteText); strings.Contains(text, "\x1b") || !strings.Contains(text, "/x [2J /y") {
		t.Error("a control character of a path reaches the terminal")
	}
}
