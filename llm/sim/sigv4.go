package sim

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	credentialForm = regexp.MustCompile(`^[A-Za-z0-9_-]{2,128}/(\d{8})/[a-z0-9-]+/(bedrock|bedrock-mantle)/aws4_request$`)
	signatureForm  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// maxSkew is how old or how early a signature may be.
const maxSkew = 15 * time.Minute

// The services that signatures are made for: of the runtime and the control plane, and
// of the newer OpenAI-shaped addresses.
const (
	runtimeService = "bedrock"
	mantleService  = "bedrock-mantle"
)

// signed tells that a request claims to have a signature.
func signed(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), algorithm)
}

const algorithm = "AWS4-HMAC-SHA256 "

// checkSignature demands the form of AWS Signature Version 4 for one of the services
// (or a bearer key). Any access key is taken: no signature is recomputed, since no
// secret is known.
func checkSignature(r *http.Request, now time.Time, services ...string) *awsError {
	auth := r.Header.Get("Authorization")
	if auth == "" {
		return &awsError{status: 403, name: "MissingAuthenticationTokenException", message: "Missing Authentication Token"}
	}
	if key, ok := strings.CutPrefix(auth, "Bearer "); ok {
		if len(strings.TrimSpace(key)) < 8 {
			return &awsError{status: 403, name: "AccessDeniedException", message: "Authentication failed: Please make sure your API Key is valid."}
		}
		return nil
	}
	rest, ok := strings.CutPrefix(auth, algorithm)
	if !ok {
		return incomplete("Unsupported AWS 'algorithm': '" + strings.SplitN(auth, " ", 2)[0] + "'.")
	}
	fields := map[string]string{}
	for _, f := range strings.Split(rest, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		fields[k] = v
	}
	for _, k := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[k] == "" {
			return incomplete("Authorization header requires '" + k + "' parameter.")
		}
	}
	cred := credentialForm.FindStringSubmatch(fields["Credential"])
	if cred == nil || !slices.Contains(services, cred[2]) {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/" + services[0] + "/aws4_request.")
	}
	if !signatureForm.MatchString(fields["Signature"]) {
		return incomplete("Signature must be 64 lower-case hex digits.")
	}
	if e := checkSigned(r, fields["SignedHeaders"]); e != nil {
		return e
	}
	return checkDate(r.Header.Get("X-Amz-Date"), cred[1], now)
}

func checkSigned(r *http.Request, list string) *awsError {
	signed := strings.Split(list, ";")
	for _, h := range []string{"host", "x-amz-date"} {
		if !slices.Contains(signed, h) {
			return incomplete("'" + h + "' must be a 'SignedHeader' in the AWS Authorization.")
		}
	}
	if !slices.IsSorted(signed) {
		return incomplete("SignedHeaders must be sorted.")
	}
	for _, h := range signed {
		// net/http keeps these two out of the header map.
		if h != "host" && h != "content-length" && len(r.Header.Values(h)) == 0 {
			return incomplete("Signed header '" + h + "' is not in the request.")
		}
	}
	return nil
}

func checkDate(date, scope string, now time.Time) *awsError {
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil {
		return incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	bad := func(why string) *awsError {
		return &awsError{status: 403, name: "InvalidSignatureException", message: why}
	}
	switch {
	case at.Format("20060102") != scope:
		return bad("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
	case now.Sub(at) > maxSkew:
		return bad("Signature expired: " + date + " is now earlier than " + now.Add(-maxSkew).UTC().Format("20060102T150405Z") + ".")
	case at.Sub(now) > maxSkew:
		return bad("Signature not yet current: " + date + " is still later than " + now.Add(maxSkew).UTC().Format("20060102T150405Z") + ".")
	}
	return nil
}

func incomplete(message string) *awsError {
	return &awsError{status: 403, name: "IncompleteSignatureException", message: message}
}
