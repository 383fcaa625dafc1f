package redact

import (
	"bytes"
	"maps"
	"slices"
)

// A form is what a country's number of persons looks like.
type form struct {
	// sizes are how its digits and letters are grouped where they are not in one piece.
	sizes []int
	// digits is how many digits it has; with letters it is found by match alone.
	digits   int
	lettered bool
	// valid checks the characters without what stands between them.
	valid func(c []byte) bool
}

// A nationalID is a form by its name.
type nationalID struct {
	name string
	form
}

// nationalIDs are the forms with a check of their own, or, as the American one, with a
// grouping that nothing else has.
var nationalIDs = map[string]form{
	"us_ssn":       {sizes: []int{3, 2, 4}, digits: 9, valid: validSSN},
	"de_steuer_id": {sizes: []int{2, 3, 3, 3}, digits: 11, valid: validSteuerID},
	"fr_nir":       {sizes: []int{1, 2, 2, 2, 3, 3, 2}, digits: 15, valid: validNIR},
	"nl_bsn":       {sizes: []int{4, 2, 3}, digits: 9, valid: validBSN},
	"pl_pesel":     {digits: 11, valid: validPESEL},
	"ch_ahv":       {sizes: []int{3, 4, 4, 2}, digits: 13, valid: validAHV},
	"uk_nino":      {digits: 9, lettered: true, valid: validNINO},
	"es_dni":       {digits: 9, lettered: true, valid: validDNI},
	"it_cf":        {digits: 16, lettered: true, valid: validCF},
}

// NationalIDs are the names of all forms.
func NationalIDs() []string { return slices.Sorted(maps.Keys(nationalIDs)) }

// nationalRun finds a number of digits alone in a run.
func (w *walk) nationalRun(r *run, n nationalID) {
	for from := range r.groups {
		for to := from; to < min(len(r.groups), from+mostGroups); to++ {
			digits := r.digits[r.groups[from].pos : r.groups[to].pos+r.groups[to].end-r.groups[to].start]
			if len(digits) > n.digits {
				break
			}
			if len(digits) == n.digits && n.grouped(r.groups[from:to+1]) && n.valid(digits) {
				w.found(r.groups[from].start, r.groups[to].end, n.name, 0)
				return
			}
		}
	}
}

// grouped tells whether groups are one piece, or as the form has them.
func (f *form) grouped(groups []group) bool {
	if len(groups) == 1 {
		return f.sizes == nil || f.digits > 9 || f.digits == 9 && !slices.Equal(f.sizes, []int{3, 2, 4})
	}
	if len(groups) != len(f.sizes) {
		return false
	}
	for i, g := range groups {
		if g.end-g.start != f.sizes[i] {
			return false
		}
	}
	return true
}

// lettered finds a number with letters: a word of the right length, perhaps with single
// spaces, dots or dashes between its pieces.
func (w *walk) lettered(s []byte, n nationalID) {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) || isWord(at(s, i-1)) {
			continue
		}
		end, count := i, 0
		for end < len(s) && count < n.digits {
			if isAlnum(s[end]) {
				count++
			} else if s[end] != ' ' && s[end] != '-' && s[end] != '.' || !isAlnum(at(s, end+1)) {
				break
			}
			end++
		}
		if count == n.digits && !isWord(at(s, end)) && n.valid(compact(s[i:end])) {
			w.found(i, end, n.name, 0)
			i = end
		}
	}
}

func digit(c []byte, i int) int { return int(c[i] - '0') }

// validSSN leaves out what the Social Security Administration does not give.
func validSSN(c []byte) bool {
	area := string(c[:3])
	return area != "000" && area != "666" && c[0] != '9' && string(c[3:5]) != "00" && string(c[5:]) != "0000"
}

// validSteuerID is the check of ISO 7064 MOD 11,10 and the rule that one digit comes
// twice or three times among the first ten.
func validSteuerID(c []byte) bool {
	if c[0] == '0' {
		return false
	}
	var times [10]int
	product := 10
	for i := range 10 {
		times[digit(c, i)]++
		sum := (digit(c, i) + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
	}
	return slices.Max(times[:]) >= 2 && slices.Max(times[:]) <= 3 && (11-product)%10 == digit(c, 10)
}

// validNIR is 97 less the remainder of the first 13 digits.
func validNIR(c []byte) bool {
	n := 0
	for i := range 13 {
		n = (10*n + digit(c, i)) % 97
	}
	return (c[0] == '1' || c[0] == '2') && 97-n == 10*digit(c, 13)+digit(c, 14)
}

// validBSN is the Dutch check by elevens.
func validBSN(c []byte) bool {
	sum := -digit(c, 8)
	for i := range 8 {
		sum += (9 - i) * digit(c, i)
	}
	return sum%11 == 0 && !bytes.Equal(c, []byte("000000000"))
}

func validPESEL(c []byte) bool {
	sum := 0
	for i, weight := range []int{1, 3, 7, 9, 1, 3, 7, 9, 1, 3} {
		sum += weight * digit(c, i)
	}
	month, day := (10*digit(c, 2)+digit(c, 3))%20, 10*digit(c, 4)+digit(c, 5)
	return (10-sum%10)%10 == digit(c, 10) && month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// validAHV is an EAN-13 of the country 756.
func validAHV(c []byte) bool {
	sum := 0
	for i := range 12 {
		sum += digit(c, i) * (1 + 2*(i%2))
	}
	return string(c[:3]) == "756" && (10-sum%10)%10 == digit(c, 12)
}

// validNINO leaves out prefixes that are not given.
func validNINO(c []byte) bool {
	if !isLetter(c[0]) || !isLetter(c[1]) || !isDigits(c[2:8]) || c[8] < 'A' || c[8] > 'D' {
		return false
	}
	return bytes.IndexByte([]byte("DFIQUV"), c[0]) < 0 && bytes.IndexByte([]byte("DFIOQUV"), c[1]) < 0 && !slices.Contains([]string{"BG", "GB", "NK", "KN", "TN", "NT", "ZZ"}, string(c[:2]))
}

// validDNI is the letter that the number's remainder by 23 has; a foreigner's begins with
// X, Y or Z for 0, 1 or 2.
func validDNI(c []byte) bool {
	n := 0
	for i := range 8 {
		d := c[i]
		if i == 0 && d >= 'X' && d <= 'Z' {
			d -= 'X' - '0'
		}
		if !isDigit(d) {
			return false
		}
		n = 10*n + int(d-'0')
	}
	return c[8] == "TRWAGMYFPDXBNJZSQVHLCKE"[n%23]
}

// validCF is the check letter of the Italian fiscal code.
func validCF(c []byte) bool {
	for i, k := range []byte("AAAAAA00A00A000A") {
		if isLetter(c[i]) != isLetter(k) {
			return false
		}
	}
	odd := [...]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for i := range 15 {
		n := int(c[i] - 'A')
		if isDigit(c[i]) {
			n = digit(c, i)
		}
		if i%2 == 0 {
			n = odd[n]
		}
		sum += n
	}
	return c[15] == byte('A'+sum%26)
}
