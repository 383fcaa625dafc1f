package bedrock

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/pricing/types"

	"understudy/llm"
)

// priceServices are the services of the price list under which models stand:
// Amazon's own and open models, by thousand tokens; models that are sold through
// the marketplace (Claude, Cohere …), by million; and, where it is there, one more that
// public readers of the list know for some of Claude.
var priceServices = []string{"AmazonBedrock", "AmazonBedrockFoundationModels", priceExtra}

const (
	priceExtra    = "AmazonBedrockService"
	pricePageSize = 100 // the most of GetProducts
	priceRegion   = "us-east-1"
	priceTimeout  = time.Minute
)

// A PriceService says how AWS's price list is asked. It needs AWS credentials with
// pricing:GetProducts; an API key of Bedrock does not open it.
type PriceService struct {
	Credentials aws.CredentialsProvider
	// Region is where the service is asked, one of the few that have it; empty is
	// us-east-1. It has no say in whose prices are read.
	Region string
	// BaseURL overrides the service's address.
	BaseURL string
	// HTTPClient may be nil. Timeout is that of one page, 0 a minute.
	HTTPClient *http.Client
	Timeout    time.Duration
}

// A ListedPrice is one line of the price list that is about the tokens of a model.
// The list holds no model ids: which line is whose is for a person to say.
type ListedPrice struct {
	// Service, Region and UsageType are as the list has them, and so are
	// Description, Model and Provider; Model is the attribute model, titanModel or
	// servicename.
	Service, Region, UsageType, Description, Model, Provider string
	// Counts is "input", "output", "cache_read", "cache_write_5m", "cache_write_30m"
	// or "cache_write_1h" of text, and "" where the usage type says none of these or
	// speaks of pictures, speech or reserved capacity. A cache write without a
	// lifetime is the one of five minutes, which is the service's default.
	Counts string
	// Tier is "standard", "batch", "flex", "priority", "latency" or "reserved", Scope
	// "region", "geo" or "global" where the usage type says so, and else "".
	// LongContext marks the price beyond a length that the list does not name.
	Tier, Scope string
	LongContext bool
	// Unit and USD are as written. USDPerMillion is the exact decimal that follows
	// for a million tokens; where the unit is not understood, Understood is false and
	// it is "0".
	Unit, USD     string
	USDPerMillion string
	Understood    bool
}

// PriceList reads the lines of the price list of a region, such as "eu-west-1",
// that are about tokens and hold every word of filter, in any case, in usage type,
// model, provider or description. Errors are *llm.Error.
func PriceList(ctx context.Context, from PriceService, regionCode, filter string) ([]ListedPrice, error) {
	if from.Credentials == nil {
		return nil, errors.New("price list: no AWS credentials; the price list takes no API key")
	}
	if !regionForm.MatchString(regionCode) {
		return nil, fmt.Errorf("price list: %q is not the name of an AWS region, such as \"eu-west-1\"", regionCode)
	}
	if from.BaseURL != "" {
		if err := llm.ValidBaseURL(from.BaseURL); err != nil {
			return nil, fmt.Errorf("price list: address %w", err)
		}
	}
	client := from.client()
	words := strings.Fields(strings.ToLower(filter))
	var all []ListedPrice
	for _, service := range priceServices {
		lines, err := from.read(ctx, client, service, regionCode)
		if class := llm.ClassOf(err); service == priceExtra && (class == llm.ClassInvalid || class == llm.ClassNotFound) {
			continue // not every account's list has it
		}
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			if l.aboutTokens() && l.holds(words) {
				all = append(all, l)
			}
		}
	}
	slices.SortFunc(all, func(a, b ListedPrice) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Model, b.Model), cmp.Compare(a.UsageType, b.UsageType),
			cmp.Compare(a.Description, b.Description), cmp.Compare(a.USD, b.USD))
	})
	return all, nil
}

func (from PriceService) client() *pricing.Client {
	options := pricing.Options{
		Region: cmp.Or(from.Region, priceRegion), Credentials: from.Credentials,
		Retryer: aws.NopRetryer{}, HTTPClient: wholeTap{oneHop(from.HTTPClient, 1)},
	}
	if from.BaseURL != "" {
		options.BaseEndpoint = aws.String(from.BaseURL)
	}
	return pricing.New(options)
}

// read gives every line of one service, page by page.
func (from PriceService) read(ctx context.Context, client *pricing.Client, service, region string) ([]ListedPrice, error) {
	op := "list prices of " + service
	limits := llm.Endpoint{Timeout: cmp.Or(from.Timeout, priceTimeout), StallTimeout: cmp.Or(from.Timeout, priceTimeout)}
	in := pricing.GetProductsInput{
		ServiceCode: aws.String(service), FormatVersion: aws.String("aws_v1"), MaxResults: aws.Int32(pricePageSize),
		Filters: []types.Filter{{Field: aws.String("regionCode"), Type: types.FilterTypeTermMatch, Value: aws.String(region)}},
	}
	var all []ListedPrice
	for range maxPages {
		out, err := ask(ctx, limits, op, func(ctx context.Context) (*pricing.GetProductsOutput, error) {
			return client.GetProducts(ctx, &in)
		})
		if err != nil {
			return nil, err
		}
		for _, item := range out.PriceList {
			lines, err := linesOf(service, item)
			if err != nil {
				return nil, malformedAnswer(limits, op, err.Error())
			}
			all = append(all, lines...)
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return all, nil
		}
	}
	return nil, malformedAnswer(limits, op, fmt.Sprintf("the list does not end after %d pages", maxPages))
}

// A priceItem is one product of the list in the form aws_v1.
type priceItem struct {
	Product struct {
		Attributes map[string]string `json:"attributes"`
	} `json:"product"`
	Terms struct {
		OnDemand map[string]struct {
			Dimensions map[string]struct {
				Unit         string            `json:"unit"`
				Description  string            `json:"description"`
				PricePerUnit map[string]string `json:"pricePerUnit"`
			} `json:"priceDimensions"`
		} `json:"OnDemand"`
	} `json:"terms"`
}

// linesOf gives a line for each price of a product.
func linesOf(service, text string) ([]ListedPrice, error) {
	var item priceItem
	if err := json.Unmarshal([]byte(text), &item); err != nil {
		return nil, fmt.Errorf("a product that is not understood: %w", err)
	}
	a := item.Product.Attributes
	line := ListedPrice{
		Service: service, Region: a["regionCode"], UsageType: a["usagetype"], Provider: a["provider"],
		Model: cmp.Or(a["model"], a["titanModel"], a["servicename"]),
	}
	line.readUsageType()
	var lines []ListedPrice
	for _, term := range item.Terms.OnDemand {
		for _, d := range term.Dimensions {
			l := line
			l.Unit, l.Description, l.USD = d.Unit, d.Description, d.PricePerUnit["USD"]
			l.USDPerMillion, l.Understood = perMillion(l.USD, l.Unit, l.Description)
			lines = append(lines, l)
		}
	}
	return lines, nil
}

func (l *ListedPrice) aboutTokens() bool {
	return strings.Contains(strings.ToLower(l.UsageType+" "+l.Unit+" "+l.Description), "token")
}

func (l *ListedPrice) holds(words []string) bool {
	text := strings.ToLower(l.UsageType + " " + l.Model + " " + l.Provider + " " + l.Description)
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
