package redact

import (
	"bytes"
	"net/netip"
)

// A run is a piece of a text of digits and of what may stand between those of one number.
type run struct {
	start, end int // from the first digit, or a + or ( before it, to behind the last digit
	digits     []byte
	groups     []group
	plus       bool // it begins with +
	letters    bool // a letter or an underscore touches it
}

// A group is the digits between two separators.
type group struct {
	start, end int
	pos        int    // of its first digit among all of the run
	sep        string // what stands before it
}

const mostDigits = 40

// numbers finds what is made of digits: cards, telephone numbers, IPv4 addresses, IBANs and
// national numbers.
func (w *walk) numbers(s []byte) {
	w.ibans(s)
	for i := 0; i < len(s); {
		if !isDigit(s[i]) {
			i++
			continue
		}
		end := i
		for end < len(s) && isDigit(s[end]) {
			end++
		}
		if end-i >= 7 || goesOn(s, end) > 0 {
			w.readRun(s, i)
			w.number(s, &w.run)
			end = w.run.end
		}
		i = end
	}
}

// goesOn tells where a number goes on behind the digits that end at i; 0 where it does not.
func goesOn(s []byte, i int) int {
	j := i
	for j < len(s) && j < i+3 && between[s[j]] {
		j++
	}
	if j+1 < len(s) && s[j] == 0xc2 && s[j+1] == 0xa0 { // a space that does not break
		j += 2
	}
	if j == i || j >= len(s) || !isDigit(s[j]) {
		return 0
	}
	return j
}

// between are the bytes that may stand between digits of one number.
var between = [256]bool{' ': true, '-': true, '.': true, '(': true, ')': true, '/': true}

// readRun reads the number that begins with the digit at i.
func (w *walk) readRun(s []byte, i int) {
	r := &w.run
	*r = run{start: i, groups: r.groups[:0], digits: r.digits[:0]}
	for r.start > 0 && (s[r.start-1] == '(' || s[r.start-1] == '+') {
		r.start--
		if s[r.start] == '+' {
			r.plus = true
			break
		}
	}
	before := at(s, i-1)
	r.letters = isLetter(before) || before == '_' || before >= 0x80 && !bytes.HasSuffix(s[:i], []byte("\u00a0"))
	sep := ""
	for i < len(s) && len(r.digits) < mostDigits {
		g := group{start: i, pos: len(r.digits), sep: sep}
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		g.end = i
		r.groups, r.digits, r.end = append(r.groups, g), append(r.digits, s[g.start:g.end]...), i
		j := goesOn(s, i)
		if j == 0 {
			break
		}
		sep, i = string(s[i:j]), j
	}
	after := at(s, r.end)
	r.letters = r.letters || isLetter(after) || after == '_' || after >= 0x80 && !bytes.HasPrefix(s[r.end:], []byte("\u00a0")) && !bytes.HasPrefix(s[r.end:], []byte("\u2026"))
}

// number looks at one run, and where it is nothing as a whole at its parts.
func (w *walk) number(s []byte, r *run) {
	if w.r.on[KindIP] {
		w.ipv4(s, r)
	}
	if len(r.digits) < 7 || r.letters {
		return
	}
	for _, n := range w.r.national {
		if !n.lettered {
			w.nationalRun(r, n)
		}
	}
	if w.r.on[KindCard] && w.cardRun(r) {
		return
	}
	if w.r.on[KindPhone] {
		w.phoneRun(s, r)
	}
}

// numberSpans finds cards and national numbers in a number of JSON.
func (w *walk) numberSpans(n []byte) []span {
	w.spans = w.spans[:0]
	r := run{end: len(n), digits: n, groups: []group{{end: len(n)}}}
	for _, id := range w.r.national {
		if !id.lettered {
			w.nationalRun(&r, id)
		}
	}
	if w.r.on[KindCard] {
		w.cardRun(&r)
	}
	w.untangleIfMany()
	return w.spans
}

func (w *walk) untangleIfMany() {
	if len(w.spans) > 1 {
		w.untangle()
	}
}

// cardRun finds a card's number among the groups of a run: 13 to 19 digits that pass the
// Luhn check and begin as those of a known scheme do, in one piece or in groups of at
// least three digits.
func (w *walk) cardRun(r *run) bool {
	for from := range r.groups {
		if r.groups[from].sep == "." { // the decimals of a number
			continue
		}
		digits := r.digits[r.groups[from].pos:]
		for to := from; to < len(r.groups); to++ {
			g := r.groups[to]
			if to > from && g.sep != " " && g.sep != "-" && g.sep != "\u00a0" && g.sep != "." {
				break
			}
			digits := digits[:g.pos+g.end-g.start-r.groups[from].pos]
			if len(digits) > 19 || to > from && min(g.end-g.start, r.groups[from].end-r.groups[from].start) < 3 {
				break
			}
			if len(digits) >= 13 && cardScheme(digits) && luhn(digits) {
				w.found(r.groups[from].start, g.end, KindCard, 0)
				return true
			}
		}
	}
	return false
}

// cardScheme tells whether digits begin as those of a card do (ISO/IEC 7812: Visa,
// Mastercard, American Express, Diners, Discover, JCB, UnionPay, Maestro).
func cardScheme(d []byte) bool {
	four := int(d[0]-'0')*1000 + int(d[1]-'0')*100 + int(d[2]-'0')*10 + int(d[3]-'0')
	two := four / 100
	switch n := len(d); {
	case d[0] == '4':
		return n == 13 || n == 16 || n == 19
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720:
		return n == 16
	case two == 34, two == 37:
		return n == 15
	case two == 36, two == 38, two == 39, four >= 3000 && four <= 3059:
		return n == 14 || n == 16
	case four == 6011, two == 65, four >= 6440 && four <= 6499, two == 62, two == 35, two == 81:
		return n >= 16
	case two == 50, two >= 56 && two <= 69:
		return n >= 13
	}
	return false
}

// luhn is the check of ISO/IEC 7812-1, annex B.
func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		n := int(d[len(d)-1-i] - '0')
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

// ipv4 finds four numbers up to 255 with dots between them.
func (w *walk) ipv4(s []byte, r *run) {
	for i := 0; i+4 <= len(r.groups); i++ {
		g := r.groups[i : i+4]
		if g[1].sep != "." || g[2].sep != "." || g[3].sep != "." {
			continue
		}
		if i > 0 && g[0].sep == "." || i+4 < len(r.groups) && r.groups[i+4].sep == "." {
			continue // five numbers and more are a version
		}
		a, err := netip.ParseAddr(string(s[g[0].start:g[3].end]))
		before := at(s, g[0].start-1)
		if err != nil || a.IsUnspecified() || a.IsLoopback() || isLetter(before) || before == '_' || before == '-' && i == 0 || isLetter(at(s, g[3].end)) || versioned(s[:g[0].start]) {
			continue
		}
		w.found(g[0].start, g[3].end, KindIP, 0)
		i += 3
	}
}

// versioned tells whether what stands before a number calls it a version.
func versioned(before []byte) bool {
	b := bytes.ToLower(bytes.TrimRight(before[max(0, len(before)-12):], " :="))
	return bytes.HasSuffix(b, []byte("version")) || bytes.HasSuffix(b, []byte("release"))
}

// ipv6 finds what netip reads as an address: eight groups, or fewer with :: between them.
func (w *walk) ipv6(s []byte) {
	for i := 0; i < len(s); {
		n := bytes.IndexByte(s[i:], ':')
		if n < 0 {
			return
		}
		start, end := i+n, i+n
		for start > 0 && isHexOrColon(s[start-1]) {
			start--
		}
		for end < len(s) && (isHexOrColon(s[end]) || s[end] == '.') {
			end++
		}
		i = end
		piece := bytes.TrimRight(s[start:end], ".")
		if bytes.HasSuffix(piece, []byte(":")) && !bytes.HasSuffix(piece, []byte("::")) {
			piece = piece[:len(piece)-1]
		}
		if bytes.Count(piece, []byte(":")) < 2 || !bytes.ContainsAny(piece, "0123456789") || isWord(at(s, start-1)) || isWord(at(s, start+len(piece))) {
			continue
		}
		a, err := netip.ParseAddr(string(piece))
		if err != nil || a.IsUnspecified() || a.IsLoopback() || len(piece) < 6 {
			continue
		}
		w.found(start, start+len(piece), KindIP, 0)
	}
}

func isHexOrColon(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' || c == ':'
}

func isWord(c byte) bool { return isAlnum(c) || c == '_' || c >= 0x80 }
