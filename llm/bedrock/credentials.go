package bedrock

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/auth/bearer"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"understudy/llm"
)

// Credentials say who calls: with a signature by AWS credentials, or, where an
// API key is set, with that key as bearer token.
type Credentials struct {
	Provider aws.CredentialsProvider
	APIKey   string
}

// LoadCredentials gives the endpoint's API key where its configuration refers to
// one, and else the AWS chain: environment, shared files, web identity, the
// machine's role. The chain is only set up; the first call asks it. A bearer
// token in the environment of the process is not used unless the endpoint's
// api_key_env names it: an endpoint's identity is never a side effect.
func LoadCredentials(ctx context.Context, ep llm.Endpoint) (Credentials, error) {
	key, err := ep.Key()
	if err != nil {
		return Credentials{}, err
	}
	if key != "" {
		return Credentials{APIKey: key}, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region(ep)), config.WithLogger(logging.Nop{}))
	if err != nil {
		return Credentials{}, fmt.Errorf("endpoint %s: load AWS credentials: %w", ep.Name, err)
	}
	return Credentials{Provider: cfg.Credentials}, nil
}

// untraced gives the provider contexts without values: a connection that is made to
// fetch credentials must not be counted as the call having been sent.
func (who Credentials) untraced() aws.CredentialsProvider {
	if who.Provider == nil {
		return nil
	}
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) { return who.Provider.Retrieve(alone{ctx}) })
}

// alone is a context without its values.
type alone struct{ context.Context }

// Value has nothing to give.
func (alone) Value(any) any { return nil }

// defaultRegion signs for an endpoint whose base_url is set and region is not.
const defaultRegion = "us-east-1"

func region(ep llm.Endpoint) string {
	if ep.Region == "" {
		return defaultRegion
	}
	return ep.Region
}

// keySigner puts an API key on a request. The SDK's own signer refuses plain
// http, which here only ever goes to loopback.
type keySigner struct{}

func (keySigner) SignWithBearerToken(_ context.Context, token bearer.Token, message bearer.Message) (bearer.Message, error) {
	req, ok := message.(*smithyhttp.Request)
	if !ok {
		return nil, fmt.Errorf("sign request: unknown transport %T", message)
	}
	req = req.Clone()
	req.Header.Set("Authorization", "Bearer "+token.Value)
	return req, nil
}
