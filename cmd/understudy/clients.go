package main

import (
	"context"
	"fmt"
	"net/http"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
)

// newClient makes the client of an endpoint, which says who calls as its configuration
// wants it.
func newClient(ep llm.Endpoint, who identify) (llm.Client, error) {
	switch {
	case ep.Provider == "bedrock":
		credentials, err := who(context.Background(), ep)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errConfig, err)
		}
		return bedrock.NewClient(ep, credentials, nil)
	case ep.Auth == llm.AuthSigV4:
		return newSignedClient(ep, who)
	case ep.Auth == llm.AuthEntra:
		token, err := openai.EntraAuthorizer(ep, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errConfig, err)
		}
		return openai.NewClientAs(ep, token, nil)
	}
	key, err := ep.Key()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	return openai.NewClient(ep, key, nil)
}

// newSignedClient makes the client of one of Bedrock's OpenAI-shaped addresses. A key
// there needs no auth: that an endpoint has both is a mistake, and which of them would
// count is not guessed.
func newSignedClient(ep llm.Endpoint, who identify) (llm.Client, error) {
	if ep.APIKeyEnv != "" || ep.APIKeyFile != "" {
		return nil, fmt.Errorf("%w: endpoint %s: auth \"sigv4\" signs with AWS credentials; a Bedrock API key in api_key_env or api_key_file goes without auth", errConfig, ep.Name)
	}
	base, service, err := bedrock.OpenAIAddress(ep)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	credentials, err := who(context.Background(), ep)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	ep.BaseURL = base
	return openai.NewClientAs(ep, func(ctx context.Context, req *http.Request, body []byte) error {
		return credentials.SignRequest(ctx, req, body, ep.Region, service)
	}, nil)
}
