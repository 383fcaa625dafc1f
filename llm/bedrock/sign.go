package bedrock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"

	"understudy/llm"
)

// The names that signatures are made for: that of the runtime and of every address
// that says nothing else, and that of bedrock-mantle. AWS documents neither beside its
// addresses; OpenAI's own clients for Bedrock do, and sign so.
const (
	runtimeService = "bedrock"
	mantleService  = "bedrock-mantle"
)

// OpenAIAddress gives where an endpoint is whose auth is "sigv4", without a slash at
// its end, and the service that its requests are signed for. Without base_url it is
// the runtime's OpenAI-shaped address in the endpoint's region; bedrock-mantle, where
// the path differs by model, is named in full. An address of Bedrock in another region
// than the endpoint's is an error: nothing signed here would be accepted there, and
// the region is what policies go by.
func OpenAIAddress(ep llm.Endpoint) (base, service string, err error) {
	if !regionForm.MatchString(ep.Region) {
		return "", "", fmt.Errorf("endpoint %s: region %q is not the name of an AWS region, such as \"us-east-1\"", ep.Name, ep.Region)
	}
	if ep.BaseURL == "" {
		at, err := bedrockruntime.NewDefaultEndpointResolverV2().ResolveEndpoint(context.Background(),
			bedrockruntime.EndpointParameters{Region: aws.String(ep.Region)})
		if err != nil {
			return "", "", fmt.Errorf("endpoint %s: find Bedrock in region %s: %w", ep.Name, ep.Region, err)
		}
		return strings.TrimRight(at.URI.String(), "/") + "/openai/v1", runtimeService, nil
	}
	if err := llm.ValidBaseURL(ep.BaseURL); err != nil {
		return "", "", fmt.Errorf("endpoint %s: base_url %w", ep.Name, err)
	}
	u, err := url.Parse(ep.BaseURL)
	if err != nil {
		return "", "", fmt.Errorf("endpoint %s: base_url: %w", ep.Name, err)
	}
	service, region := readHost(u.Hostname())
	if region != "" && region != ep.Region {
		return "", "", fmt.Errorf("endpoint %s: base_url leads to region %s, and region is %s", ep.Name, region, ep.Region)
	}
	return strings.TrimRight(ep.BaseURL, "/"), service, nil
}

// readHost takes from a host, Bedrock's own or that of a VPC endpoint, the service to
// sign for and the region; the region is "" where the host is not one of Bedrock's.
func readHost(host string) (service, region string) {
	labels := strings.Split(strings.ToLower(host), ".")
	service = runtimeService
	if slices.Contains(labels, "bedrock-mantle") {
		service = mantleService
	} else if !slices.Contains(labels, "bedrock-runtime") && !slices.Contains(labels, "bedrock-runtime-fips") {
		return service, ""
	}
	for _, label := range labels {
		if regionForm.MatchString(label) {
			region = label
		}
	}
	return service, region
}

// SignRequest puts onto req who calls: a signature for service in region by AWS
// Signature Version 4, made now, which covers the host, the path, every header that is
// already there and the hash of body; or the API key as bearer token, where there is
// one. body must be what req will carry. Credentials are asked for anew each time;
// those of the AWS chain are kept until they end.
func (who Credentials) SignRequest(ctx context.Context, req *http.Request, body []byte, region, service string) error {
	if who.APIKey != "" {
		req.Header.Set("Authorization", "Bearer "+who.APIKey)
		return nil
	}
	if who.Provider == nil {
		return errors.New("sign request: no AWS credentials; configure the AWS chain")
	}
	c, err := who.Provider.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("sign request: get AWS credentials: %w", err)
	}
	hash := sha256.Sum256(body)
	// The length stays out of the signature, so that a proxy may send the body in chunks.
	length := req.ContentLength
	req.ContentLength = -1
	err = v4.NewSigner().SignHTTP(ctx, c, req, hex.EncodeToString(hash[:]), service, region, time.Now())
	req.ContentLength = length
	if err != nil {
		return fmt.Errorf("sign request: %w", err)
	}
	return nil
}
