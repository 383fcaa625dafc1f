package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"net/netip"
	"strings"
)

// pseudonym is what stands for a span of a text, in the same form.
func (w *walk) pseudonym(sp span, s []byte) string {
	found := s[sp.start:sp.end]
	switch sp.kind {
	case KindEmail:
		return "user-" + w.word(KindEmail, bytes.ToLower(found), 10) + "@example.invalid"
	case KindPhone:
		return w.phone(found)
	case KindCard:
		return w.card(found)
	case KindIBAN:
		return w.iban(found)
	case KindIP:
		return w.address(found)
	case KindAPIKey:
		if sp.keep == 0 {
			return w.secret(string(found))
		}
		return string(found[:sp.keep]) + w.filler(string(found), len(found)-sp.keep)
	case KindCredential:
		return credentialMark
	}
	if _, ok := nationalIDs[sp.kind]; ok {
		return w.shape(sp.kind, found)
	}
	return "[" + sp.kind + "-" + w.word(sp.kind, found, 8) + "]"
}

// credentialMark stands for the caller's own credentials.
const credentialMark = "[credential]"

// A keystream is the keyed hash of what a pseudonym stands for.
type keystream struct {
	sum []byte
	at  int
}

// stream gives the keyed hash of a kind and a text within the tenant.
func (w *walk) stream(kind string, of []byte) *keystream {
	m := hmac.New(sha256.New, w.r.key)
	for _, part := range [][]byte{[]byte(kind), []byte(w.of.Tenant), of} {
		m.Write([]byte{byte(len(part) >> 16), byte(len(part) >> 8), byte(len(part))})
		m.Write(part)
	}
	return &keystream{sum: m.Sum(nil)}
}

// below gives the next number below n, which is small beside 65536.
func (k *keystream) below(n int) int {
	if k.at+2 > len(k.sum) {
		next := sha256.Sum256(k.sum)
		k.sum, k.at = next[:], 0
	}
	v := int(k.sum[k.at])<<8 | int(k.sum[k.at+1])
	k.at += 2
	return v % n
}

func (k *keystream) digit() byte { return byte('0' + k.below(10)) }

var letters = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// word is a word of lower-case letters and digits.
func (w *walk) word(kind string, of []byte, n int) string {
	return letters.EncodeToString(w.stream(kind, of).sum)[:n]
}

// secret stands for a secret without a form of its own.
func (w *walk) secret(s string) string { return "redacted-" + w.word(KindAPIKey, []byte(s), 12) }

// filler is the rest of a key: it says that it is none.
func (w *walk) filler(of string, n int) string {
	s := "redacted" + w.word(KindAPIKey, []byte(of), 40)
	if n <= len(s) {
		return s[:max(n, 8)]
	}
	return s + strings.Repeat("x", n-len(s))
}

// phone keeps the country code, and how the digits are grouped, of a number; the others
// are of the fictitious 555-01xx where it has that form, and begin with 5550 elsewhere.
func (w *walk) phone(found []byte) string {
	digits := compact(found)
	k := w.stream(KindPhone, bytes.TrimPrefix(digits, []byte("00")))
	keep := 0
	switch {
	case found[0] == '+':
		keep = countryCode(digits)
	case bytes.HasPrefix(digits, []byte("00")):
		keep = 2 + countryCode(digits[2:])
	case len(digits) == 11 && digits[0] == '1', digits[0] == '0':
		keep = 1
	}
	own := digits[keep:]
	switch american := len(own) == 10 && (keep == 0 || digits[0] == '1' || bytes.HasPrefix(digits, []byte("001"))); {
	case american: // area code, then 555-01xx
		copy(own, []byte{byte('2' + k.below(8)), k.digit(), k.digit(), '5', '5', '5', '0', '1', k.digit(), k.digit()})
	case len(own) == 7:
		copy(own, []byte{'5', '5', '5', '0', '1', k.digit(), k.digit()})
	default:
		for i := range own {
			own[i] = k.digit()
		}
		copy(own, "5550")
	}
	return withDigits(found, digits)
}

// countryCode is the length of the country code that digits begin with (ITU-T E.164).
func countryCode(d []byte) int {
	if len(d) < 3 {
		return 0
	}
	if d[0] == '1' || d[0] == '7' {
		return 1
	}
	for _, two := range []string{"20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98"} {
		if string(d[:2]) == two {
			return 2
		}
	}
	return 3
}

// withDigits puts digits in place of those of a text.
func withDigits(text, digits []byte) string {
	out := bytes.Clone(text)
	n := 0
	for i, c := range out {
		if isDigit(c) {
			out[i] = digits[n]
			n++
		}
	}
	return string(out)
}

// card is a number of the same length and grouping that passes the Luhn check, in the
// range 4000 00, which no bank gives.
func (w *walk) card(found []byte) string {
	digits := compact(found)
	k := w.stream(KindCard, digits)
	for i := range digits {
		digits[i] = k.digit()
	}
	copy(digits, "400000")
	last := len(digits) - 1
	for digits[last] = '0'; !luhn(digits); digits[last]++ {
	}
	return withDigits(found, digits)
}

// iban is one of the same country and form, with a bank of zeros and right check digits.
func (w *walk) iban(found []byte) string {
	chars := compact(found)
	k := w.stream(KindIBAN, chars)
	for i := range chars {
		switch {
		case i < 2:
		case isLetter(chars[i]):
			chars[i] = 'X'
		case i >= len(chars)-8:
			chars[i] = k.digit()
		default:
			chars[i] = '0'
		}
	}
	check := 98 - mod97(chars)
	chars[2], chars[3] = byte('0'+check/10), byte('0'+check%10)
	out, n := bytes.Clone(found), 0
	for i, c := range out {
		if isAlnum(c) {
			out[i] = chars[n]
			n++
		}
	}
	return string(out)
}

// address is one of the ranges for documentation (RFC 5737, RFC 3849).
func (w *walk) address(found []byte) string {
	a, err := netip.ParseAddr(string(found))
	if err != nil {
		return "192.0.2.0"
	}
	k := w.stream(KindIP, a.AsSlice())
	if a.Is4() {
		net := [][3]byte{{192, 0, 2}, {198, 51, 100}, {203, 0, 113}}[k.below(3)]
		return netip.AddrFrom4([4]byte{net[0], net[1], net[2], byte(1 + k.below(254))}).String()
	}
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	for i := 8; i < 16; i++ {
		b[i] = byte(k.below(256))
	}
	return netip.AddrFrom16(b).String()
}

// shape keeps what is a digit a digit, and what is a letter a letter.
func (w *walk) shape(kind string, found []byte) string {
	k := w.stream(kind, compact(found))
	out := bytes.Clone(found)
	for i, c := range out {
		switch {
		case isDigit(c):
			out[i] = k.digit()
		case c >= 'a' && c <= 'z':
			out[i] = byte('a' + k.below(26))
		case c >= 'A' && c <= 'Z':
			out[i] = byte('A' + k.below(26))
		}
	}
	return string(out)
}
