package bedrock

import "understudy/llm"

// What the tests outside the package look at.
type (
	FieldRow = fieldRow
	GapKind  = gapKind
)

var (
	FieldRows = fieldRows
	GapKinds  = gapKinds
	Families  = families
)

func RowOf(path string) *FieldRow      { return rowOf(path) }
func (r *FieldRow) Path() string       { return r.path }
func (r *FieldRow) Extra() *GapKind    { return r.extra }
func (r *FieldRow) Harmless() []string { return r.harmless }
func (k *GapKind) Code() string        { return k.code }
func (k *GapKind) At(p string) llm.Gap { return k.at(p) }
