package redact

import "bytes"

// emails finds addresses: a local part, and a domain with a dot whose last label has
// letters alone. Letters beyond ASCII count as letters.
func (w *walk) emails(s []byte) {
	for i := 0; ; {
		n := bytes.IndexByte(s[i:], '@')
		if n < 0 {
			return
		}
		sign := i + n
		i = sign + 1
		start := sign
		for start > 0 && isLocal(s[start-1]) {
			start--
		}
		for start < sign && (s[start] == '.' || s[start] == '\'' || s[start] == '-') { // of the sentence, not of the address
			start++
		}
		end := domainEnd(s, i)
		if start == sign || end == 0 {
			continue
		}
		w.found(start, end, KindEmail, 0)
		i = end
	}
}

func isLocal(c byte) bool {
	return isAlnum(c) || c >= 0x80 || bytes.IndexByte([]byte("._%+-'!#$&*=?^{|}~"), c) >= 0
}

// domainEnd is where the domain that begins at i ends; 0 where none does.
func domainEnd(s []byte, i int) (end int) {
	label, dots, letters := 0, 0, true
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case isAlnum(c) || c >= 0x80:
			label++
			letters = letters && !isDigit(c)
		case c == '-' && label > 0:
			label++
			letters = false
		case c == '.' && label > 0:
			if dots > 0 && letters && label >= 2 {
				end = i
			}
			dots++
			label, letters = 0, true
			continue
		default:
			if dots > 0 && letters && label >= 2 {
				end = i
			}
			return end
		}
	}
	if dots > 0 && letters && label >= 2 {
		end = len(s)
	}
	return end
}
