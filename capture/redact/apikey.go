package redact

import (
	"bytes"
	"strings"
)

// minToken is the length of the shortest word that is looked at as a key.
const minToken = 11

// lookAhead is how much of a long word is looked at to tell whether it is a secret. One that
// is goes on to its end all the same; but words that only begin like secrets, again and
// again, cost no more than that each.
const lookAhead = 512

// A keyForm is how keys of one kind begin, and how long what follows is at least.
type keyForm struct {
	prefix string
	least  int
}

// keyForms are the documented prefixes of the keys of widely used services.
var keyForms = []keyForm{
	{"sk-ant-", 8}, {"sk-proj-", 8}, {"sk-svcacct-", 8}, {"sk-or-v1-", 8}, {"sk-", 8}, {"sk_live_", 8}, {"sk_test_", 8}, {"rk_live_", 8}, {"rk_test_", 8}, {"whsec_", 16},
	{"AKIA", 16}, {"ASIA", 16}, {"ABSK", 24}, {"bedrock-api-key-", 16}, {"AIza", 30}, {"ya29.", 16}, {"GOCSPX-", 16},
	{"ghp_", 20}, {"gho_", 20}, {"ghu_", 20}, {"ghs_", 20}, {"ghr_", 20}, {"github_pat_", 20}, {"glpat-", 16}, {"gldt-", 16},
	{"xoxb-", 10}, {"xoxp-", 10}, {"xoxa-", 10}, {"xoxr-", 10}, {"xoxs-", 10}, {"xapp-", 10},
	{"hf_", 20}, {"npm_", 20}, {"pypi-", 20}, {"dop_v1_", 20}, {"SG.", 20}, {"shpat_", 16}, {"shpss_", 16}, {"sq0atp-", 16}, {"EAACEdEose0cBA", 8}, {"key-", 32},
	{"AGE-SECRET-KEY-", 20}, {"lin_api_", 16}, {"pplx-", 16}, {"gsk_", 16}, {"xai-", 16}, {"r8_", 20}, {"nvapi-", 16}, {"tvly-", 16},
}

// keyFirst are the bytes with which a key can begin.
var keyFirst = func() (t [256]bool) {
	for _, f := range keyForms {
		t[f.prefix[0]] = true
	}
	t['e'] = true // a JSON Web Token: eyJ
	return t
}()

// tokens finds keys by their prefixes, JSON Web Tokens, and what follows "Bearer".
func (w *walk) tokens(s []byte) {
	for i := 0; i < len(s); {
		if signs[s[i]]&wordByte == 0 {
			i++
			continue
		}
		start := i
		for i < len(s) && signs[s[i]]&wordByte != 0 {
			i++
		}
		if i-start >= minToken {
			w.token(s, start, i)
		}
	}
}

// token looks at one long word.
func (w *walk) token(s []byte, start, end int) {
	for end > start && (s[end-1] == '.' || s[end-1] == '/' || s[end-1] == '-') { // of the sentence
		end--
	}
	before := bytes.ToLower(bytes.TrimRight(s[max(0, start-10):start], " \t"))
	if bytes.HasSuffix(before, []byte("bearer")) && end-start >= 16 || bytes.HasSuffix(before, []byte("basic")) && end-start >= 12 && bytes.ContainsAny(s[start:end], "0123456789=") {
		w.found(start, end, KindAPIKey, 0)
		return
	}
	for from := start; from < end; from++ {
		if from > start && isAlnum(s[from-1]) || !keyFirst[s[from]] {
			continue
		}
		if keep, n := keyIn(s[from:min(end, from+lookAhead)]); n > 0 {
			if n == lookAhead {
				n += keyLength(s[from+n : end])
			}
			w.found(from, from+n, KindAPIKey, keep)
			return
		}
	}
}

// keyIn tells how long the key is that a word begins with, 0 for none, and how much of it
// is its prefix.
func keyIn(word []byte) (keep, n int) {
	if bytes.HasPrefix(word, []byte("eyJ")) {
		// A head of the usual claims fits into what is looked at; the rest follows.
		if head, rest, ok := bytes.Cut(word, []byte(".")); ok && len(head) >= 10 && bytes.HasPrefix(rest, []byte("ey")) {
			return 3, keyLength(word)
		}
		return 0, 0
	}
	for _, f := range keyForms {
		if !bytes.HasPrefix(word, []byte(f.prefix)) {
			continue
		}
		n := keyLength(word[len(f.prefix):])
		if rest := word[len(f.prefix) : len(f.prefix)+n]; n < f.least || !bytes.ContainsAny(rest, "0123456789") && bytes.Equal(rest, bytes.ToLower(rest)) {
			continue // words of people: sk-learning-about
		}
		if isCapital(f.prefix) && !isCapital(string(word[:len(f.prefix)+f.least])) {
			continue
		}
		return len(f.prefix), len(f.prefix) + n
	}
	return 0, 0
}

// isCapital tells whether a text is of capitals and digits alone.
func isCapital(s string) bool {
	for _, c := range []byte(s) {
		if !isDigit(c) && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// keyLength is how many bytes of a key a word goes on with.
func keyLength(s []byte) int {
	for i, c := range s {
		if !isAlnum(c) && c != '-' && c != '_' && c != '.' && c != '=' && c != '+' && c != '/' {
			return i
		}
	}
	return len(s)
}

// namedSecrets finds what stands behind the name of a secret and = or :, as in settings
// and logs: api_key=…, "password": "…".
func (w *walk) namedSecrets(s []byte) {
	for i := 0; i < len(s); i++ {
		if s[i] != ':' && s[i] != '=' {
			continue
		}
		name := nameBefore(s, i)
		if !secretNames[name] {
			continue
		}
		start := i + 1
		for start < len(s) && start < i+4 && bytes.IndexByte([]byte(" \t\"'`="), s[start]) >= 0 {
			start++
		}
		end := start
		for end < len(s) && bytes.IndexByte([]byte(" \t\r\n\"'`,;)}]<>"), s[end]) < 0 {
			end++
		}
		for end > start && s[end-1] == '.' {
			end--
		}
		if end-start < minSecret || !bytes.ContainsAny(s[start:end], "0123456789!#$%&*+-@^_~") || bytes.EqualFold(s[start:end], []byte("bearer")) {
			i = max(i, end-1) // "password: required"; what it ends with is no secret either
			continue
		}
		w.found(start, end, KindAPIKey, 0)
		i = end - 1
	}
}

// nameBefore is the word that ends at i, in lower case, without quotes around it.
func nameBefore(s []byte, i int) string {
	end := i
	for end > 0 && bytes.IndexByte([]byte(" \t\"'`"), s[end-1]) >= 0 {
		end--
	}
	start := end
	for start > 0 && (isAlnum(s[start-1]) || s[start-1] == '_' || s[start-1] == '-') {
		start--
	}
	if end-start > 40 {
		return ""
	}
	return strings.ToLower(string(s[start:end]))
}

// armour finds private keys in the armour of RFC 7468.
func (w *walk) armour(s []byte) {
	const begin, end = "-----BEGIN ", "-----END "
	for i := 0; ; {
		n := bytes.Index(s[i:], []byte(begin))
		if n < 0 {
			return
		}
		start := i + n
		i = start + len(begin)
		line := s[i:min(len(s), i+60)]
		label, _, ok := bytes.Cut(line, []byte("-----"))
		if !ok || !bytes.Contains(label, []byte("PRIVATE KEY")) {
			continue
		}
		stop := len(s) // one that is cut is one as well
		if n := bytes.Index(s[i:], []byte(end)); n >= 0 {
			stop = i + n
			if n := bytes.Index(s[stop+len(end):], []byte("-----")); n >= 0 {
				stop += len(end) + n + len("-----")
			}
		}
		w.found(start, stop, KindAPIKey, 0)
		i = stop
	}
}
