package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func redactor(t testing.TB, change func(*Config)) *Redactor {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg, []byte("a key of tests"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// found is what is found in a text, as "kind:text", by looking at what changed.
func found(t *testing.T, r *Redactor, text string) []string {
	t.Helper()
	w := r.scratch.Get().(*walk)
	w.begin(Subject{}, &Counts{})
	w.find([]byte(text))
	var list []string
	for _, s := range w.spans {
		list = append(list, s.kind+":"+text[s.start:s.end])
	}
	return list
}

const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

func TestWhatIsFound(t *testing.T) {
	r := redactor(t, nil)
	for text, want := range map[string][]string{
		// E-mail.
		"write to Ada.Lovelace+x@mail.example.co.uk, please": {"email:Ada.Lovelace+x@mail.example.co.uk"},
		"<jürgen@bücher.de>":                                 {"email:jürgen@bücher.de"},
		"a@b.io and c@d.org.":                                {"email:a@b.io", "email:c@d.org"},
		"ends with x@example.com":                            {"email:x@example.com"},
		"user@host, @decorator, a@b.1":                       nil,
		"npm i @scope/pkg@1.2.3":                             nil,
		// Telephone.
		"call +49 (0) 151 2345 6789 now":                   {"phone:+49 (0) 151 2345 6789"},
		"+1-415-555-2671":                                  {"phone:+1-415-555-2671"},
		"(415) 555-2671 or 415.555.2672":                   {"phone:(415) 555-2671", "phone:415.555.2672"},
		"Tel.: 030 / 1234567":                              {"phone:030 / 1234567"},
		"0049 30 1234567":                                  {"phone:0049 30 1234567"},
		"01 23 45 67 89":                                   {"phone:01 23 45 67 89"},
		"020 7946 0958":                                    {"phone:020 7946 0958"},
		"my phone number is 4155552671":                    {"phone:4155552671"},
		`"phone_number": "4155552671"`:                     {"phone:4155552671"},
		"+4915123456789":                                   {"phone:+4915123456789"},
		"since 2024-01-31 at 415-555-2671":                 {"phone:415-555-2671"},
		"2024-01-31 12:30:00, 31.01.2024 08:15, 1/31/2024": nil,
		"order 123456789, 4155552671 of them, 1,234,567.89, 3.14159265358, 1700000000": nil,
		"10 000 000 people, 1 000 000 000 000":                                         nil,
		"id 550e8400-e29b-41d4-a716-446655440000":                                      nil,
		"between 1939-1945 and 2000-2010":                                              nil,
		"chr1:100200300-100200400, 12345678-1234":                                      nil,
		// Cards.
		"4111 1111 1111 1111":                   {"card:4111 1111 1111 1111"},
		"pay with 5500-0000-0000-0004!":         {"card:5500-0000-0000-0004"},
		"378282246310005 exp 12/27":             {"card:378282246310005"},
		"number:4242424242424242,":              {"card:4242424242424242"},
		"4111 1111 1111 1112, 1234567890123456": nil,
		"sha1 4111111111111111ab":               nil,
		// IBAN.
		"DE89 3704 0044 0532 0130 00.": {"iban:DE89 3704 0044 0532 0130 00"},
		"gb82west12345698765432":       {"iban:gb82west12345698765432"},
		"FR1420041010050500013M02606":  {"iban:FR1420041010050500013M02606"},
		"DE89 3704 0044 0532 0130 01":  nil,
		"AB12 3456 7890 1234":          nil,
		// IP.
		"from 203.0.113.77:8080":             {"ip:203.0.113.77"},
		"8.8.8.8, 10.1.2.3.":                 {"ip:8.8.8.8", "ip:10.1.2.3"},
		"2001:db8:85a3::8a2e:370:7334 is up": {"ip:2001:db8:85a3::8a2e:370:7334"},
		"fe80::1ff:fe23:4567:890a%eth0":      {"ip:fe80::1ff:fe23:4567:890a"},
		"version 10.2.3.4, v1.2.3.4, 1.2.3, 1.2.3.4.5, 300.1.1.1, 127.0.0.1": nil,
		"12:34:56, std::vector<a::b>, ::, aa:bb:cc:dd:ee:ff":                 nil,
		// Keys.
		"key sk-proj-Ab3dEf6hIj9kLmN0 here":                                          {"api_key:sk-proj-Ab3dEf6hIj9kLmN0"},
		"sk-ant-api03-x9y8z7w6v5u4":                                                  {"api_key:sk-ant-api03-x9y8z7w6v5u4"},
		"AKIAIOSFODNN7EXAMPLE":                                                       {"api_key:AKIAIOSFODNN7EXAMPLE"},
		"ghp_0123456789abcdefghijABCDEFGHIJ012345":                                   {"api_key:ghp_0123456789abcdefghijABCDEFGHIJ012345"},
		"xoxb-123456789012-abcdefGHIJKL":                                             {"api_key:xoxb-123456789012-abcdefGHIJKL"},
		"token " + jwt + ".":                                                         {"api_key:" + jwt},
		"Authorization: Bearer abcdefghijklmnop1234":                                 {"api_key:abcdefghijklmnop1234"},
		"password=hunter2!x and more":                                                {"api_key:hunter2!x"},
		`{'api_key': '0123456789abcdef'}`:                                            {"api_key:0123456789abcdef"},
		"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY":             {"api_key:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest": {"api_key:-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"},
		"sk-learn, sk-learning-about-it, risk-taking-behaviour, task-oriented":       nil,
		"the password: required field, token: Hello, secret: sauce":                  nil,
		"-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----":               nil,
		"https://example.com/a/very/long/path/that/goes/on_and_on.html":              nil,
		"chatcmpl-9xYzAbCdEf0123456789 call_abcDEF123456789 fp_44709d6fcb":           nil,
	} {
		if got := found(t, r, text); !slices.Equal(got, want) {
			t.Errorf("%q\n  found %q\n  want  %q", text, got, want)
		}
	}
}

func TestNationalIDs(t *testing.T) {
	r := redactor(t, func(c *Config) { c.NationalIDs, c.Detectors = NationalIDs(), nil })
	for text, want := range map[string]string{
		"SSN 078-05-1120.":             "us_ssn:078-05-1120",
		"000-12-3456 or 078051120":     "",
		"Steuer-ID 86 095 742 719":     "de_steuer_id:86 095 742 719",
		"86095742719":                  "de_steuer_id:86095742719",
		"86095742710":                  "",
		"NIR 2 55 08 14 168 025 38":    "fr_nir:2 55 08 14 168 025 38",
		"BSN 111222333":                "nl_bsn:111222333",
		"PESEL 44051401359":            "pl_pesel:44051401359",
		"AHV 756.9217.0769.85":         "ch_ahv:756.9217.0769.85",
		"NINO AB 12 34 56 C":           "uk_nino:AB 12 34 56 C",
		"DNI 12345678Z, NIE X1234567L": "es_dni:12345678Z es_dni:X1234567L",
		"12345678A":                    "",
		"CF RSSMRA85T10A562S":          "it_cf:RSSMRA85T10A562S",
	} {
		if got := strings.Join(found(t, r, text), " "); got != want {
			t.Errorf("%q: found %q, want %q", text, got, want)
		}
	}
}

// A pseudonym has the form of what it stands for, and stands for the same within a tenant.
func TestPseudonymsKeepTheForm(t *testing.T) {
	r := redactor(t, nil)
	as := func(text, tenant string) string { return r.Text(text, Subject{Tenant: tenant}, &Counts{}) }
	for text, form := range map[string]string{
		"ada@example.com":              `^user-[a-z0-9]{10}@example\.invalid$`,
		"+49 151 2345678":              `^\+49 555 0\d{6}$`,
		"(415) 555-2671":               `^\(\d{3}\) 555-01\d\d$`,
		"+1-415-555-2671":              `^\+1-\d{3}-555-01\d\d$`,
		"4111 1111 1111 1111":          `^4000 00\d\d \d{4} \d{4}$`,
		"378282246310005":              `^400000\d{9}$`,
		"DE89 3704 0044 0532 0130 00":  `^DE\d\d 0000 0000 00\d\d \d{4} \d\d$`,
		"203.0.113.77":                 `^(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+$`,
		"2001:db8:85a3::8a2e:370:7334": `^2001:db8:`,
		"sk-proj-Ab3dEf6hIj9kLmN0":     `^sk-proj-redacted[a-z0-9]{8}$`,
		"password: hunter2!x":          `^password: redacted-[a-z0-9]{12}$`,
		"AKIAIOSFODNN7EXAMPLE":         `^AKIAredacted[a-z0-9]{8}$`,
	} {
		got := as(text, "t")
		if !regexp.MustCompile(form).MatchString(got) {
			t.Errorf("%q became %q, want %s", text, got, form)
		}
		if again := as(text, "t"); again != got {
			t.Errorf("%q became %q and %q", text, got, again)
		}
		if other := as(text, "u"); other == got && !strings.Contains(form, "555-01") && !strings.Contains(form, "192") {
			t.Errorf("%q is %q for two tenants", text, got)
		}
	}
	if a, b := as("ADA@Example.com", ""), as("ada@example.com", ""); a != b {
		t.Errorf("one address has two pseudonyms: %q, %q", a, b)
	}
	if a, b := as("4111111111111111", ""), as("4111 1111 1111 1111", ""); a != strings.ReplaceAll(b, " ", "") || !luhn([]byte(a)) {
		t.Errorf("one card has two pseudonyms, or no right one: %q, %q", a, b)
	}
	if iban := compact([]byte(as("DE89 3704 0044 0532 0130 00", ""))); mod97(iban) != 1 {
		t.Errorf("%s is no IBAN", iban)
	}
	other, err := New(DefaultConfig(), []byte("another key"))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := as("ada@example.com", ""), other.Text("ada@example.com", Subject{}, &Counts{}); a == b {
		t.Errorf("two keys give one pseudonym: %q", a)
	}
}

func TestJSONKeepsEveryOtherByte(t *testing.T) {
	r := redactor(t, func(c *Config) {
		c.Pointers = []string{"/metadata/name", "/messages/*/name", "/metadata/size"}
		c.Patterns = []Pattern{{Name: "badge", Match: `B-\d{4}`}}
	})
	mail := r.Text("ada@example.com", Subject{}, &Counts{})
	name := "redacted-" // and a word
	for body, want := range map[string]string{
		`{ "a" : "ada@example.com" }`:                             `{ "a" : "` + mail + `" }`,
		`["\u0061da\u0040example.com"]`:                           `["` + mail + `"]`,
		`["say \"ada@example.com\"\n\t\/ \ud83d\ude00 x"]`:        `["say \"` + mail + `\"\n\t\/ \ud83d\ude00 x"]`,
		`{"ada@example.com":1}`:                                   `{"` + mail + `":1}`,
		`{"arguments":"{\"to\": \"ada@example.com\", \"n\": 1}"}`: `{"arguments":"{\"to\": \"` + mail + `\", \"n\": 1}"}`,
		`{"arguments":"{\"to\": \"ada\\u0040example.com\"}"}`:     `{"arguments":"{\"to\": \"` + mail + `\"}"}`,
		`{"n":4111111111111111,"m":1700000000000,"k":1.5e300}`:    `{"n":` + r.Text("4111111111111111", Subject{}, &Counts{}) + `,"m":1700000000000,"k":1.5e300}`,
		`"B-1234 and b"`: `"[badge-` + "\x00" + `] and b"`,
		`{"metadata":{"name":"Ada","size":3},"messages":[{"name":"Bob"},{"name":{"x":1}}]}`:                `{"metadata":{"name":"` + name + "\x00" + `","size":0},"messages":[{"name":"` + name + "\x00" + `"},{"name":{}}]}`,
		`{"choices":[{"message":{"content":"ada@example.com"},"logprobs":{"content":[{"token":"ada"}]}}]}`: `{"choices":[{"message":{"content":"` + mail + `"},"logprobs":null}]}`,
		`{"choices":[{"message":{"content":"x"},"logprobs":{"content":[{"token":"x"}]}}]}`:                 `{"choices":[{"message":{"content":"x"},"logprobs":{"content":[{"token":"x"}]}}]}`,
		`{"password":"correct horse"}`: `{"password":"` + name + "\x00" + `"}`,
		` [ ] `:                        ` [ ] `, `""`: `""`, `null`: `null`, `{"a":{},"b":[[],{"c":""}]}`: `{"a":{},"b":[[],{"c":""}]}`,
	} {
		got, err := r.JSON([]byte(body), Subject{}, &Counts{})
		like := regexp.MustCompile(`\A` + strings.ReplaceAll(regexp.QuoteMeta(want), `\x00`, `[a-z0-9]+`) + `\z`)
		like = regexp.MustCompile(strings.ReplaceAll(like.String(), "\x00", `[a-z0-9]+`))
		if err != nil || !like.Match(got) {
			t.Errorf("%s\n  became %s, %v\n  want   %q", body, got, err, want)
		}
	}
	for _, bad := range []string{"", "<html>", `{"a":"ada@exa`, `{"a":1}}`, "\xff"} {
		if got, err := r.JSON([]byte(bad), Subject{}, &Counts{}); err != ErrNotJSON || got != nil {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

func TestMedia(t *testing.T) {
	image := "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="
	body := `{"messages":[{"content":[{"type":"image_url","image_url":{"url":"` + image + `"}},{"type":"image_url","image_url":{"url":"https://h/me.png"}},` +
		`{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0=","filename":"x.pdf"}},{"type":"text","text":"hi"}]}]}`
	want := strings.NewReplacer("iVBORw0KGgoAAAANSUhEUg==", dropped, "https://h/me.png", "https://example.invalid/dropped", "UklGRg==", dropped, "JVBERi0=", dropped).Replace(body)
	c := &Counts{}
	if got, err := redactor(t, nil).JSON([]byte(body), Subject{}, c); err != nil || string(got) != want || c.Media != 4 {
		t.Errorf("%d media, %v\n%s\n%s", c.Media, err, got, want)
	}
	c = &Counts{}
	allow := redactor(t, func(c *Config) { c.Media = "allow" })
	if got, err := allow.JSON([]byte(body), Subject{}, c); err != nil || string(got) != body || c.Media != 0 {
		t.Errorf("allowed: %d media, %v, %s", c.Media, err, got)
	}
}

func TestCredentialsAreReplacedInEveryForm(t *testing.T) {
	r := redactor(t, func(c *Config) { c.Detectors = nil })
	secret := `a/b+c"d9`
	inner, _ := json.Marshal(map[string]string{"key": secret})
	body, _ := json.Marshal(map[string]string{"plain": "it is " + secret, "arguments": string(inner)})
	escaped := bytes.ReplaceAll(body, []byte("/"), []byte(`\/`))
	for _, b := range [][]byte{body, escaped} {
		c := &Counts{}
		got, err := r.JSON(b, Subject{Secrets: []string{secret}}, c)
		var back map[string]string
		if err != nil || json.Unmarshal(got, &back) != nil || c.Spans[KindCredential] != 2 || strings.Contains(back["plain"]+back["arguments"], "b+c") {
			t.Errorf("%s became %s, %v", b, got, err)
		}
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`mode "maybe" is unknown`:       func(c *Config) { c.Mode = "maybe" },
		`detectors: "name" is unknown`:  func(c *Config) { c.Detectors = []string{"name"} },
		`national_ids: "xx" is unknown`: func(c *Config) { c.NationalIDs = []string{"xx"} },
		`is not a JSON Pointer`:         func(c *Config) { c.Pointers = []string{"metadata"} },
		`pattern 1: name "email"`:       func(c *Config) { c.Patterns = []Pattern{{"email", "x"}} },
		`pattern 1: match: error`:       func(c *Config) { c.Patterns = []Pattern{{"a", "("}} },
		`matches the empty text`:        func(c *Config) { c.Patterns = []Pattern{{"a", "x*"}} },
		`media "keep" is unknown`:       func(c *Config) { c.Media = "keep" },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
}

// Whatever the JSON: the result is valid, and says the same but for what was found.
func TestAnyJSONStaysJSON(t *testing.T) {
	r := redactor(t, func(c *Config) {
		c.NationalIDs = NationalIDs()
		c.Patterns = []Pattern{{"any", `[äöü]+|""|\\`}}
		c.Pointers = []string{"/a/*", "/*/1"}
	})
	pieces := []string{"ada@example.com", "+49 151 23456789", "4111 1111 1111 1111", "DE89370400440532013000", "8.8.8.8", "sk-proj-Ab3dEf6hIj9kLmN0", "password=hunter22", `"`, `\`, "\n", "ä", "😀", "\u2028", " ", "{", "[1,", "text", "078-05-1120", "::", "-----BEGIN PRIVATE KEY-----"}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 6).Draw(t, "pieces"), rapid.SampledFrom([]string{"", " "}).Draw(t, "between"))
		})
		var value func(depth int) any
		value = func(depth int) any {
			switch n := rapid.IntRange(0, 6).Draw(t, "kind"); {
			case n == 0 && depth > 0:
				return map[string]any{text.Draw(t, "name"): value(depth - 1), "a": value(depth - 1), "password": value(depth - 1)}
			case n == 1 && depth > 0:
				return []any{value(depth - 1), value(depth - 1)}
			case n == 2 && depth > 0:
				b, _ := json.Marshal(value(depth - 1))
				return string(b)
			case n == 3:
				return rapid.SampledFrom([]any{nil, true, 4111111111111111, 1.5, 111222333}).Draw(t, "plain")
			}
			return text.Draw(t, "text")
		}
		body, _ := json.Marshal(value(4))
		if rapid.Bool().Draw(t, "spaced") {
			var b bytes.Buffer
			_ = json.Indent(&b, body, " ", "\t")
			body = b.Bytes()
		}
		before := bytes.Clone(body)
		c := &Counts{}
		got, err := r.JSON(body, Subject{Tenant: "t", Secrets: []string{"text"}}, c)
		if err != nil || !json.Valid(got) {
			t.Fatalf("%s became %s, %v", body, got, err)
		}
		if !bytes.Equal(body, before) {
			t.Fatalf("the input was changed: %s", body)
		}
		if len(c.Spans) == 0 && c.Media == 0 && !bytes.Equal(got, body) {
			t.Fatalf("nothing was found, and %s became %s", body, got)
		}
		again, err := r.JSON(body, Subject{Tenant: "t", Secrets: []string{"text"}}, &Counts{})
		if err != nil || !bytes.Equal(got, again) {
			t.Fatalf("%s became %s and %s", body, got, again)
		}
	})
}

// No secret survives at any place of any text.
func TestNothingFoundSurvives(t *testing.T) {
	r := redactor(t, nil)
	secrets := []string{"ada@example.com", "+4915123456789", "4111111111111111", "DE89370400440532013000", "8.8.4.4", "sk-proj-Ab3dEf6hIj9kLmN0"}
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SampledFrom(secrets).Draw(t, "secret")
		word := rapid.StringMatching(`[ ,;(\n"'<]|[a-z ]{0,8}[ ,;(\n"'<>]`)
		text := word.Draw(t, "before") + secret + rapid.StringMatching(`([ ,;)\n"'<>!][a-z ]{0,8})?`).Draw(t, "after")
		body, _ := json.Marshal(map[string]string{"content": text})
		got, err := r.JSON(body, Subject{}, &Counts{})
		if err != nil || bytes.Contains(got, []byte(secret)) {
			t.Fatalf("%s became %s, %v", body, got, err)
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("ada@example.com +49 151 23456789 4111 1111 1111 1111 DE89370400440532013000 8.8.8.8 2001:db8::1 sk-proj-Ab3dEf6hIj9kLmN0 password=hunter22", "t")
	f.Add("(((+1 (415) 555-0132 ext. 4 \xff\xfe@\x80.com ::1:2:3:4 -----BEGIN PRIVATE KEY", "")
	cfg := DefaultConfig()
	cfg.NationalIDs = NationalIDs()
	r, err := New(cfg, []byte("k"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, tenant string) {
		c := &Counts{}
		got := r.Text(text, Subject{Tenant: tenant}, c)
		if len(c.Spans) == 0 && got != text {
			t.Errorf("%q became %q and nothing was found", text, got)
		}
		body, err := json.Marshal(text)
		if err != nil {
			return
		}
		if got, err := r.JSON(body, Subject{Tenant: tenant}, &Counts{}); err != nil || !json.Valid(got) {
			t.Errorf("%s became %s, %v", body, got, err)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":["\u0061\ud83d\ude00@b.io",1e9,true,null,{"password":"x y z w"}],"logprobs":{}}`))
	cfg := DefaultConfig()
	cfg.Pointers = []string{"/a/*", "/*"}
	r, err := New(cfg, []byte("k"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := r.JSON(body, Subject{}, &Counts{})
		if json.Valid(body) != (err == nil) || err == nil && !json.Valid(got) {
			t.Errorf("%q became %q, %v", body, got, err)
		}
	})
}

func TestAddressesOfDocumentationAlone(t *testing.T) {
	r := redactor(t, nil)
	for i := range 200 {
		a := netip.MustParseAddr(r.Text(fmt.Sprintf("9.%d.7.%d", i, i), Subject{}, &Counts{}))
		if !slices.ContainsFunc([]string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"}, func(p string) bool { return netip.MustParsePrefix(p).Contains(a) }) {
			t.Fatalf("%s is nobody's to use", a)
		}
	}
}

// No text costs more than its length, whatever it is made of: a body of a megabyte is read in
// a moment.
func TestTimeGoesByLength(t *testing.T) {
	cfg := DefaultConfig()
	cfg.NationalIDs = NationalIDs()
	r, err := New(cfg, []byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	const short, times = 1 << 12, 32
	for _, piece := range []string{
		"1", "1 ", "1234 ", "1-", "+(1", "(", "@", "a@", "a.b@c.d.", "aaaaaaaa@", "a", ":", "a1:", "::1", "-----BEGIN PRIVATE KEY ", "-----BEGIN PRIVATE KEY----- ",
		"\"\\\n", "sk-", "sk-a", "eyJ.", "eyJaaaaaaaaaa.eyaaaa", "DE12", "DE12 ", "password=", "password: a ", "bearer abcdefghijklmnopq ", "a1@b.co +491511234567 ", "1.1.1.1.", "00 ", "12345678Z ",
	} {
		cost := func(n int) time.Duration {
			body, _ := json.Marshal(map[string]string{"content": strings.Repeat(piece, n/len(piece))})
			best := time.Hour
			for range 3 {
				began := time.Now()
				if _, err := r.JSON(body, Subject{}, &Counts{}); err != nil {
					t.Fatal(err)
				}
				best = min(best, time.Since(began))
			}
			return best
		}
		one, many := cost(short), cost(short*times)
		if many > 8*times*max(one, 50*time.Microsecond) { // a quadratic one takes 32 times as much
			t.Errorf("%q: %v for %d bytes, %v for %d", piece, one, short, many, short*times)
		}
	}
}
