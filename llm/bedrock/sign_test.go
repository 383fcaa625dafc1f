package bedrock

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"pgregory.net/rapid"

	"understudy/llm"
)

const (
	accessKey    = "AKIDEXAMPLE"
	secretKey    = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	sessionToken = "session/token+1="
)

func signer() Credentials {
	return Credentials{Provider: credentials.NewStaticCredentialsProvider(accessKey, secretKey, sessionToken)}
}

// TestSignedRequestAsItArrives: whoever knows the secret comes to the same signature
// from what arrived, once by AWS's own signer and once by the rules of Signature
// Version 4; from anything else they do not.
func TestSignedRequestAsItArrives(t *testing.T) {
	var bad string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bad = faultOf(r, body, "eu-west-1", "bedrock")
		if faultOf(r, append(body, ' '), "eu-west-1", "bedrock") == "" {
			bad = "the signature does not cover the body"
		}
		if faultOf(r, body, "us-east-1", "bedrock") == "" || faultOf(r, body, "eu-west-1", "bedrock-mantle") == "" {
			bad = "the signature is good for another region or service"
		}
		r.Header.Set("Content-Type", "text/plain")
		if faultOf(r, body, "eu-west-1", "bedrock") == "" {
			bad = "the signature does not cover the content type"
		}
	}))
	defer server.Close()
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		path := rapid.SampledFrom([]string{"/openai/v1/chat/completions", "/v1/chat/completions", "/v1/a%20b/c%2Fd?x=1&a=b%20c"}).Draw(t, "path")
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "text/event-stream, application/json")
		req.Header.Set("User-Agent", "understudy")
		if err := signer().SignRequest(context.Background(), req, body, "eu-west-1", "bedrock"); err != nil {
			t.Fatal(err)
		}
		if req.ContentLength != int64(len(body)) {
			t.Errorf("the length is %d, the body's %d", req.ContentLength, len(body))
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if bad != "" {
			t.Error(bad)
		}
	})
	http.DefaultClient.CloseIdleConnections()
}

// faultOf recomputes a signature from a request as it arrived, and says what does not
// agree.
func faultOf(r *http.Request, body []byte, region, service string) string {
	auth := r.Header.Get("Authorization")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	switch {
	case err != nil:
		return "no date"
	case r.Header.Get("X-Amz-Security-Token") != sessionToken:
		return "no session token"
	}
	_, list, _ := strings.Cut(auth, "SignedHeaders=")
	list, sum, _ := strings.Cut(list, ", Signature=")
	hash := sha256.Sum256(body)
	again, _ := http.NewRequestWithContext(context.Background(), r.Method, "http://"+r.Host+r.RequestURI, nil)
	for _, name := range strings.Split(list, ";") {
		if v := r.Header.Values(name); name != "host" {
			again.Header[http.CanonicalHeaderKey(name)] = v
		}
	}
	who := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey, SessionToken: sessionToken}
	if err := v4.NewSigner().SignHTTP(context.Background(), who, again, hex.EncodeToString(hash[:]), service, region, at); err != nil {
		return err.Error()
	}
	if got := again.Header.Get("Authorization"); got != auth {
		return "arrived " + auth + ", recomputed " + got
	}
	if got := byTheRules(r, list, hex.EncodeToString(hash[:]), at, region, service); strings.Contains(r.RequestURI, "chat") && got != sum {
		return "by the rules the signature is " + got + ", it arrived as " + sum
	}
	return ""
}

// byTheRules is Signature Version 4 for a path without anything to escape, as
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
// has it.
func byTheRules(r *http.Request, list, hash string, at time.Time, region, service string) string {
	canonical := r.Method + "\n" + r.URL.Path + "\n\n"
	for _, name := range strings.Split(list, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += "\n" + list + "\n" + hash
	sum := sha256.Sum256([]byte(canonical))
	day := at.Format("20060102")
	scope := strings.Join([]string{day, region, service, "aws4_request"}, "/")
	key := []byte("AWS4" + secretKey)
	for _, part := range []string{day, region, service, "aws4_request", "AWS4-HMAC-SHA256\n" + at.Format("20060102T150405Z") + "\n" + scope + "\n" + hex.EncodeToString(sum[:])} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

func TestSignRequestSaysWhyNot(t *testing.T) {
	req := httptest.NewRequest(http.MethodPost, "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1/chat/completions", nil)
	fails := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("no role") })
	for want, who := range map[string]Credentials{"no AWS credentials": {}, "no role": {Provider: fails}} {
		if err := who.SignRequest(t.Context(), req, nil, "us-east-1", "bedrock"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := (Credentials{APIKey: "key-1"}).SignRequest(t.Context(), req, nil, "us-east-1", "bedrock"); err != nil || req.Header.Get("Authorization") != "Bearer key-1" {
		t.Errorf("%v, %v", err, req.Header)
	}
}

func TestOpenAIAddress(t *testing.T) {
	for _, c := range []struct{ region, base, want, service string }{
		{"us-east-1", "", "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", "bedrock"},
		{"cn-north-1", "", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/openai/v1", "bedrock"},
		{"us-gov-west-1", "", "https://bedrock-runtime.us-gov-west-1.amazonaws.com/openai/v1", "bedrock"},
		{"eu-west-1", "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/", "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1", "bedrock"},
		{"eu-west-1", "https://bedrock-mantle.eu-west-1.api.aws/v1", "https://bedrock-mantle.eu-west-1.api.aws/v1", "bedrock-mantle"},
		{"eu-west-1", "https://BEDROCK-mantle.eu-west-1.api.aws/openai/v1", "https://BEDROCK-mantle.eu-west-1.api.aws/openai/v1", "bedrock-mantle"},
		{"us-east-1", "https://vpce-0a1-b2c3.bedrock-mantle.us-east-1.vpce.amazonaws.com/v1", "https://vpce-0a1-b2c3.bedrock-mantle.us-east-1.vpce.amazonaws.com/v1", "bedrock-mantle"},
		{"us-east-1", "https://vpce-0a1-b2c3-us-east-1a.bedrock-runtime.us-east-1.vpce.amazonaws.com/openai/v1", "https://vpce-0a1-b2c3-us-east-1a.bedrock-runtime.us-east-1.vpce.amazonaws.com/openai/v1", "bedrock"},
		{"us-east-1", "http://127.0.0.1:9000/openai/v1", "http://127.0.0.1:9000/openai/v1", "bedrock"},
		{"us-east-1", "https://eu-west-1.proxy.example/v1", "https://eu-west-1.proxy.example/v1", "bedrock"},
		{"us-east-1", "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1", "", ""},
		{"us-east-1", "https://bedrock-mantle.eu-west-1.api.aws/v1", "", ""},
		{"us-east-1", "http://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", "", ""},
		{"", "http://127.0.0.1:9000/openai/v1", "", ""},
		{"us-east-1.evil.example/", "", "", ""},
	} {
		ep := llm.Endpoint{Name: "cand", Region: c.region, BaseURL: c.base}
		base, service, err := OpenAIAddress(ep)
		if base != c.want || service != c.service || (err == nil) != (c.want != "") {
			t.Errorf("%q at %q: %q, %q, %v", c.region, c.base, base, service, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "endpoint cand: ") {
			t.Errorf("%v", err)
		}
	}
}
