package capture

import (
	"net/http"
	"slices"
	"strings"
)

// keptRequest and keptAnswer are the headers that a record keeps, and keptNames how
// it names them; no header that can carry a secret is among them.
var (
	keptRequest = [...]string{
		"User-Agent", "Openai-Beta", "X-Stainless-Lang", "X-Stainless-Package-Version", "X-Stainless-Runtime", "X-Stainless-Retry-Count",
	}
	keptAnswer = [...]string{
		"Content-Type", "Openai-Version", "Openai-Model", "Openai-Processing-Ms", "X-Request-Id", "Apim-Request-Id",
		"X-Ms-Region", "X-Ms-Deployment-Name", "Retry-After", "Retry-After-Ms",
	}
	keptNames = lowerCase(keptRequest[:], keptAnswer[:])
)

// lowerCase gives each name in lower case.
func lowerCase(lists ...[]string) map[string]string {
	m := map[string]string{}
	for _, name := range slices.Concat(lists...) {
		m[name] = strings.ToLower(name)
	}
	return m
}

// maxHeader bounds a header's value in a record.
const maxHeader = 256

// keptHeaders are the few of the allow-list, by lower-case name, without the
// caller's secrets.
func keptHeaders(request, answer http.Header, secrets []string) map[string]string {
	kept := make(map[string]string, len(keptRequest)+len(keptAnswer)/2)
	keep := func(h http.Header, name string) {
		if v := headerText(h, name, secrets); v != "" {
			kept[keptNames[name]] = v
		}
	}
	for _, name := range keptRequest {
		keep(request, name)
	}
	for _, name := range keptAnswer {
		keep(answer, name)
	}
	return kept
}

// headerText is a header's value as it may be recorded: first without secrets,
// then cut, so that no half of one is left.
func headerText(h http.Header, name string, secrets []string) string {
	v := h.Get(name)
	if v == "" {
		return ""
	}
	v = scrubText(v, secrets)
	return strings.ToValidUTF8(v[:min(len(v), maxHeader)], "")
}

// providerRequestID is OpenAI's id of the call, or Azure's.
func providerRequestID(h http.Header, secrets []string) string {
	if id := headerText(h, "X-Request-Id", secrets); id != "" {
		return id
	}
	return headerText(h, "Apim-Request-Id", secrets)
}
