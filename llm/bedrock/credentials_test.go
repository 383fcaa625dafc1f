package bedrock

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"understudy/llm"
)

// TestFetchedCredentialsAreNoCall: a connection that was made to fetch credentials says
// nothing of the call, which costs nothing as long as nobody is there to take it.
func TestFetchedCredentialsAreNoCall(t *testing.T) {
	vault := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer vault.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + closed.Addr().String()
	closed.Close()
	who := Credentials{Provider: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, vault.URL, nil)
		if err != nil {
			return aws.Credentials{}, err
		}
		res, err := vault.Client().Do(req)
		if err != nil {
			return aws.Credentials{}, err
		}
		res.Body.Close()
		return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET"}, nil
	})}
	client, err := NewClient(endpoint(url, "us."+llama), who, nil)
	if err != nil {
		t.Fatal(err)
	}
	call, err := client.Prepare(&llm.Request{Messages: []llm.Message{hi}, MaxTokens: ptr(9)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Do(t.Context(), call)
	var e *llm.Error
	if !errors.As(err, &e) || e.Class != llm.ClassNetwork || !e.NotSent {
		t.Errorf("got %v, not sent %t", err, e != nil && e.NotSent)
	}
}
