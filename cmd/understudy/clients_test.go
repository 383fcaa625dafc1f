package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"understudy/llm"
	"understudy/llm/bedrock"
)

func inAWS(context.Context, llm.Endpoint) (bedrock.Credentials, error) {
	return bedrock.Credentials{Provider: credentials.NewStaticCredentialsProvider("AKIDANY", "SECRET", "")}, nil
}

// TestNewClientSaysWhoCalls: each kind of endpoint goes to its path and says who calls
// in its own way, and in no other.
func TestNewClientSaysWhoCalls(t *testing.T) {
	t.Setenv("SOME_KEY", "key-of-eight")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("eyJ.token"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		if strings.HasSuffix(r.URL.Path, "/token") {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"granted"}`)
			return
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	for name, c := range map[string]struct {
		ep         llm.Endpoint
		path, auth string
		key        string
	}{
		"a key":             {llm.Endpoint{Provider: "openai", BaseURL: server.URL + "/v1", APIKeyEnv: "SOME_KEY"}, "/v1/chat/completions", "Bearer key-of-eight", ""},
		"no key":            {llm.Endpoint{Provider: "openai", BaseURL: server.URL + "/v1"}, "/v1/chat/completions", "", ""},
		"a Bedrock key":     {llm.Endpoint{Provider: "openai", BaseURL: server.URL + "/openai/v1", Region: "us-east-1", APIKeyEnv: "SOME_KEY"}, "/openai/v1/chat/completions", "Bearer key-of-eight", ""},
		"a signature":       {llm.Endpoint{Provider: "openai", BaseURL: server.URL + "/openai/v1", Region: "eu-west-1", Auth: llm.AuthSigV4}, "/openai/v1/chat/completions", "AWS4-HMAC-SHA256 Credential=AKIDANY/", ""},
		"Azure's key":       {llm.Endpoint{Provider: "azure", BaseURL: server.URL, APIKeyEnv: "SOME_KEY"}, "/openai/deployments/m/chat/completions", "", "key-of-eight"},
		"a renewed token":   {llm.Endpoint{Provider: "azure", BaseURL: server.URL, Auth: llm.AuthEntra, APIKeyFile: file}, "/openai/deployments/m/chat/completions", "Bearer eyJ.token", ""},
		"a signed-in token": {llm.Endpoint{Provider: "azure", BaseURL: server.URL, Auth: llm.AuthEntra, Entra: &llm.Entra{Tenant: "t", ClientID: "c", ClientSecretEnv: "SOME_KEY", Authority: server.URL}}, "/openai/deployments/m/chat/completions", "Bearer granted", ""},
	} {
		t.Run(name, func(t *testing.T) {
			ep := llm.DefaultEndpoint()
			ep.Name, ep.Provider, ep.Model = "cand", c.ep.Provider, "m"
			ep.BaseURL, ep.Region, ep.Auth, ep.APIKeyEnv, ep.APIKeyFile, ep.Entra = c.ep.BaseURL, c.ep.Region, c.ep.Auth, c.ep.APIKeyEnv, c.ep.APIKeyFile, c.ep.Entra
			if err := ep.Validate(); err != nil {
				t.Fatal(err)
			}
			client, err := newClient(ep, inAWS)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = client.Do(t.Context(), &llm.Call{Body: []byte(`{}`)}) // refused in any case: what arrived is looked at
			auth := got.Header.Get("Authorization")
			if got.URL.Path != c.path || !strings.HasPrefix(auth, c.auth) || (auth == "") != (c.auth == "") || got.Header.Get("Api-Key") != c.key {
				t.Errorf("%s, %v", got.URL.Path, got.Header)
			}
			if c.ep.Auth == llm.AuthSigV4 && !strings.Contains(auth, "/eu-west-1/bedrock/aws4_request") {
				t.Errorf("signed for %s", auth)
			}
		})
	}
}

// TestSignedEndpointHoldsTheRegionPolicy: nothing is sent where the policy forbids it.
func TestSignedEndpointHoldsTheRegionPolicy(t *testing.T) {
	sent := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sent++ }))
	defer server.Close()
	ep := llm.DefaultEndpoint()
	ep.Name, ep.Provider, ep.Model, ep.BaseURL, ep.Region, ep.Auth = "cand", "openai", "openai.gpt-oss-120b-1:0", server.URL+"/openai/v1", "us-east-1", llm.AuthSigV4
	for region, want := range map[string]int{"eu-west-1": 0, "us-east-1": 1} {
		sent = 0
		client, err := newClient(ep, inAWS)
		if err != nil {
			t.Fatal(err)
		}
		restrict(client, ep, bedrock.NewRegionPolicy([]string{region}))
		_, err = client.Do(t.Context(), &llm.Call{Body: []byte(`{}`)})
		var e *llm.Error
		if sent != want || !errors.As(err, &e) || e.NotSent != (want == 0) {
			t.Errorf("with %s allowed: %d sent, %v", region, sent, err)
		}
	}
}

func TestNewClientRefusesWhoCalls(t *testing.T) {
	t.Setenv("SOME_KEY", "key-of-eight")
	for want, ep := range map[string]llm.Endpoint{
		"goes without auth":        {Provider: "openai", Auth: llm.AuthSigV4, Region: "us-east-1", APIKeyEnv: "SOME_KEY"},
		"leads to region":          {Provider: "openai", Auth: llm.AuthSigV4, Region: "us-east-1", BaseURL: "https://bedrock-mantle.eu-west-1.api.aws/v1"},
		"client_secret_env":        {Provider: "azure", Auth: llm.AuthEntra, BaseURL: "https://x.openai.azure.com", Entra: &llm.Entra{Tenant: "t", ClientID: "c", ClientSecretEnv: "NOBODY_SET_THIS"}},
		"api_key_file":             {Provider: "azure", Auth: llm.AuthEntra, BaseURL: "https://x.openai.azure.com", APIKeyFile: "/nowhere/token"},
		"NOBODY_SET_THIS (api_key": {Provider: "openai", APIKeyEnv: "NOBODY_SET_THIS"},
	} {
		ep.Name, ep.Model = "cand", "m"
		if _, err := newClient(ep, inAWS); !errors.Is(err, errConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestDocumentedEndpoints: every example of docs/endpoints.md is a valid section.
func TestDocumentedEndpoints(t *testing.T) {
	text, err := os.ReadFile("../../docs/endpoints.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```toml\n")[1:]
	kinds := map[string]bool{}
	for _, b := range blocks {
		section, _, _ := strings.Cut(b, "```")
		cfg, err := loadConfig(writeFile(t, "config.toml", minimal+section), nil)
		if err != nil {
			t.Errorf("%s%v", section, err)
			continue
		}
		ep := cfg.Endpoints[len(cfg.Endpoints)-1]
		kinds[ep.Provider+" "+ep.Auth] = true
	}
	for _, kind := range []string{"bedrock ", "openai ", "openai sigv4", "azure ", "azure entra"} {
		if !kinds[kind] {
			t.Errorf("no example of %q among %d", kind, len(blocks))
		}
	}
}
