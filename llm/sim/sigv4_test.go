package sim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"understudy/llm/sim"
)

func TestSignatureForm(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock})
	now := time.Now().UTC()
	stamp := func(at time.Time) string { return at.Format("20060102T150405Z") }
	day := now.Format("20060102")
	sig := strings.Repeat("a", 64)
	auth := func(credential, signed, signature string) string {
		return "AWS4-HMAC-SHA256 Credential=" + credential + ", SignedHeaders=" + signed + ", Signature=" + signature
	}
	cred := "AKID/" + day + "/us-east-1/bedrock/aws4_request"
	tests := map[string]struct {
		auth, date string
		status     int
		name       string
	}{
		"right form":       {auth(cred, "host;x-amz-date", sig), stamp(now), 200, ""},
		"bearer":           {"Bearer bedrock-api-key-1", "", 200, ""},
		"none":             {"", stamp(now), 403, "MissingAuthenticationTokenException"},
		"short bearer":     {"Bearer x", "", 403, "AccessDeniedException"},
		"basic":            {"Basic eDp5", stamp(now), 403, "IncompleteSignatureException"},
		"no signature":     {"AWS4-HMAC-SHA256 Credential=" + cred + ", SignedHeaders=host;x-amz-date", stamp(now), 403, "IncompleteSignatureException"},
		"short signature":  {auth(cred, "host;x-amz-date", "aa"), stamp(now), 403, "IncompleteSignatureException"},
		"other service":    {auth("AKID/"+day+"/us-east-1/s3/aws4_request", "host;x-amz-date", sig), stamp(now), 403, "IncompleteSignatureException"},
		"host unsigned":    {auth(cred, "x-amz-date", sig), stamp(now), 403, "IncompleteSignatureException"},
		"date unsigned":    {auth(cred, "host", sig), stamp(now), 403, "IncompleteSignatureException"},
		"signed not there": {auth(cred, "host;x-amz-date;x-amz-security-token", sig), stamp(now), 403, "IncompleteSignatureException"},
		"no date":          {auth(cred, "host;x-amz-date", sig), "", 403, "IncompleteSignatureException"},
		"other day":        {auth("AKID/20200101/us-east-1/bedrock/aws4_request", "host;x-amz-date", sig), stamp(now), 403, "InvalidSignatureException"},
		"an hour old":      {auth("AKID/"+now.Add(-time.Hour).Format("20060102")+"/us-east-1/bedrock/aws4_request", "host;x-amz-date", sig), stamp(now.Add(-time.Hour)), 403, "InvalidSignatureException"},
		"an hour early":    {auth("AKID/"+now.Add(time.Hour).Format("20060102")+"/us-east-1/bedrock/aws4_request", "host;x-amz-date", sig), stamp(now.Add(time.Hour)), 403, "InvalidSignatureException"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/model/"+url.PathEscape(claude)+"/converse", strings.NewReader(converseBody("Hi", "")))
			if tt.auth != "" {
				req.Header.Set("Authorization", tt.auth)
			}
			if tt.date != "" {
				req.Header.Set("X-Amz-Date", tt.date)
			}
			resp, err := transport(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			name, _, _ := strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
			if resp.StatusCode != tt.status || name != tt.name {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, name, tt.status, tt.name)
			}
		})
	}
	if st := s.Stats()[claude]; st.Calls != 2 {
		t.Errorf("%d calls counted, want the 2 authenticated ones", st.Calls)
	}
}
