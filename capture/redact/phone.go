package redact

import (
	"bytes"
	"slices"
)

// Telephone numbers have no check digit, so their form must say that they are some: a
// country code, the trunk's 0 with groups behind it, the North American 3-3-4, or a word
// before them. Dates, amounts and long ids have none of these.

// mostGroups is of how many groups a number of a telephone or a person consists at most.
const mostGroups = 8

// phoneRun finds a telephone number that a run is, or that stands in it behind a space.
func (w *walk) phoneRun(s []byte, r *run) {
	for from := 0; from < len(r.groups); from++ {
		if from > 0 && r.groups[from].sep != " " {
			continue
		}
		for to := min(len(r.groups), from+mostGroups); to > from; to-- { // what follows may be another number
			groups := r.groups[from:to]
			n := digitsIn(groups)
			if n < 7 {
				break
			}
			if n > 15 || !isPhone(s, r.plus && from == 0, groups) {
				continue
			}
			start := groups[0].start
			if from == 0 {
				start = r.start // with + and (
			}
			w.found(start, groups[len(groups)-1].end, KindPhone, 0)
			from = to - 1
			break
		}
	}
}

func digitsIn(groups []group) (n int) {
	for _, g := range groups {
		n += g.end - g.start
	}
	return n
}

func isPhone(s []byte, plus bool, groups []group) bool {
	n := digitsIn(groups)
	first := s[groups[0].start:groups[0].end]
	if plus {
		return n >= 8 && first[0] != '0'
	}
	if isDate(s, groups) {
		return false
	}
	switch {
	case bytes.HasPrefix(first, []byte("00")):
		return len(groups) > 1 && n >= 10 && at(first, 2) != '0' && plainSeps(groups)
	case american(s, groups):
		return true
	case first[0] == '0' && len(first) >= 2 && len(groups) > 1 && n >= 9 && n <= 12:
		return plainSeps(groups) && (groups[1].sep != "." || len(groups) > 3)
	}
	return called(s[:groups[0].start]) && (plainSeps(groups) || len(groups) == 1)
}

// plainSeps tells whether what stands between groups stands between those of telephone
// numbers.
func plainSeps(groups []group) bool {
	return !slices.ContainsFunc(groups[1:], func(g group) bool {
		return !slices.Contains([]string{" ", "-", ".", "/", " / ", " - ", "\u00a0", ")", ") ", " (", "(", ") -"}, g.sep)
	})
}

// american is 3-3-4, perhaps with a 1 before it: area and exchange begin with 2 to 9.
func american(s []byte, groups []group) bool {
	if len(groups) == 4 && string(s[groups[0].start:groups[0].end]) == "1" {
		groups = groups[1:]
	}
	if len(groups) != 3 || !plainSeps(groups) {
		return false
	}
	for i, n := range []int{3, 3, 4} {
		if g := groups[i]; g.end-g.start != n || i < 2 && s[g.start] < '2' {
			return false
		}
	}
	return groups[1].sep != "/" && groups[2].sep != "/"
}

// isDate tells whether groups begin as a date does: 2024-01-31, 31.01.2024, 1/31/2024.
func isDate(s []byte, groups []group) bool {
	if len(groups) < 3 || groups[1].sep != groups[2].sep || !slices.Contains([]string{"-", ".", "/"}, groups[1].sep) {
		return false
	}
	number := func(g group) (n int) {
		for _, c := range s[g.start:g.end] {
			n = 10*n + int(c-'0')
		}
		return n
	}
	size := func(g group) int { return g.end - g.start }
	a, b, c := groups[0], groups[1], groups[2]
	year := func(g group) bool { return size(g) == 4 && number(g) >= 1800 && number(g) < 2200 }
	small := func(g group) bool { return size(g) <= 2 && number(g) >= 1 && number(g) <= 31 }
	return year(a) && small(b) && small(c) || small(a) && small(b) && (year(c) || size(c) == 2 && len(groups) == 3)
}

// callWords stand before a number that has no form of its own.
var callWords = []string{"phone", "tel", "telephone", "telefon", "téléphone", "teléfono", "telefono", "mobile", "mobil", "handy", "cell", "fax", "whatsapp", "call", "sms", "contact number", "phone number", "rufnummer", "número", "numéro"}

// called tells whether one of them ends what stands before a number.
func called(before []byte) bool {
	b := bytes.ToLower(bytes.TrimRight(before[max(0, len(before)-40):], " \t:=#.\"'(+"))
	b = bytes.ReplaceAll(b, []byte("_"), []byte(" "))
	for _, filler := range []string{" is", " ist", " at", " me", " us", " no", " nr", " est", " es", " number", " on"} {
		b = bytes.TrimRight(bytes.TrimSuffix(b, []byte(filler)), " \t:=#.\"'(")
	}
	for _, word := range callWords {
		if rest, ok := bytes.CutSuffix(b, []byte(word)); ok && !isWord(at(rest, len(rest)-1)) {
			return true
		}
	}
	return false
}
