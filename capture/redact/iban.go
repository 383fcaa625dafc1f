package redact

// ibanLengths are the lengths of the IBAN registry (ISO 13616).
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24,
	"DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
	"HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
	"LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
	"QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26,
	"UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}

// ibans finds account numbers: a country of the registry, its length, and the check of
// ISO 7064 (mod 97). Groups may be apart by single spaces or dashes.
func (w *walk) ibans(s []byte) {
	if !w.r.on[KindIBAN] {
		return
	}
	for i := 2; i+2 < len(s); i++ {
		if !isDigit(s[i]) || !isDigit(s[i+1]) || !isLetter(s[i-1]) || !isLetter(s[i-2]) || isWord(at(s, i-3)) {
			continue
		}
		length := ibanLengths[string([]byte{s[i-2] &^ 0x20, s[i-1] &^ 0x20})]
		if end := ibanEnd(s, i-2, length); end > 0 && mod97(compact(s[i-2:end])) == 1 {
			w.found(i-2, end, KindIBAN, 0)
			i = end
		}
	}
}

// ibanEnd is where an IBAN of a length ends that begins at i; 0 where none does.
func ibanEnd(s []byte, i, length int) int {
	if length == 0 {
		return 0
	}
	for n := 0; i < len(s); i++ {
		switch {
		case isAlnum(s[i]):
			if n++; n == length {
				if isWord(at(s, i+1)) {
					return 0
				}
				return i + 1
			}
		case (s[i] == ' ' || s[i] == '-') && isAlnum(at(s, i+1)):
		default:
			return 0
		}
	}
	return 0
}

// compact leaves letters, as capitals, and digits.
func compact(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for _, c := range s {
		switch {
		case isDigit(c):
			out = append(out, c)
		case isLetter(c):
			out = append(out, c&^0x20)
		}
	}
	return out
}

// mod97 is the remainder of an IBAN with its first four characters put behind, letters
// read as 10 to 35.
func mod97(iban []byte) int {
	sum := 0
	for i := range iban {
		c := iban[(i+4)%len(iban)]
		if isDigit(c) {
			sum = (10*sum + int(c-'0')) % 97
		} else {
			sum = (100*sum + int(c-'A') + 10) % 97
		}
	}
	return sum
}
