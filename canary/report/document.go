package report

// A document is what a report says, without its looks: text and Markdown are
// written from the same one, so that they cannot say different things.
type document struct{ blocks []block }

// A block is one of heading, paragraph, list and table.
type block any

// A heading opens a part; level 1 is the report's own, 2 a part, 3 a section.
type heading struct {
	level int
	text  string
}

// A paragraph is one or more sentences.
type paragraph string

// A list has one item a line.
type list []string

// A table has one row a line, each as long as columns.
type table struct {
	columns []column
	rows    [][]string
}

// A column is shown as code where it holds identifiers, and to the right where it
// holds numbers.
type column struct {
	name         string
	code, number bool
}

func word(name string) column   { return column{name: name} }
func code(name string) column   { return column{name: name, code: true} }
func number(name string) column { return column{name: name, number: true} }

func (d *document) heading(level int, text string) {
	d.blocks = append(d.blocks, heading{level, text})
}

func (d *document) say(sentences string) { d.blocks = append(d.blocks, paragraph(sentences)) }

func (d *document) list(items []string) {
	if len(items) > 0 {
		d.blocks = append(d.blocks, list(items))
	}
}

func (d *document) table(rows [][]string, columns ...column) {
	if len(rows) > 0 {
		d.blocks = append(d.blocks, table{columns, rows})
	}
}
