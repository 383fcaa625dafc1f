package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"understudy/llm"
	"understudy/llm/bedrock"
)

var modelsVerb = &verb{
	name: "models", short: "the endpoints, and what is known of each: where it runs, what it costs, what it promises",
	args:     "[--config FILE] [-o text|json]",
	examples: "understudy models\nunderstudy models -o json | jq '.models[] | select(.retention_days == null)'",
	run: func(_ context.Context, e *env, args []string) error {
		e.withConfig()
		e.withOutput("text", "json")
		if _, err := e.parse(args, 0, 0); err != nil {
			return err
		}
		cfg, err := loadConfig(e.config, e.sets)
		if err != nil {
			return err
		}
		lines := cfg.models()
		if e.output == "json" {
			return printJSON(e.stdout, map[string]any{"models": lines})
		}
		return writeModels(e, lines)
	},
}

// A modelLine is an endpoint as it is printed. What nobody has stated is null or empty:
// nothing of it is inferred.
type modelLine struct {
	Endpoint string   `json:"endpoint"`
	Roles    []string `json:"roles"`
	Provider string   `json:"provider"`
	Model    string   `json:"model"`
	Family   string   `json:"family"`
	Region   string   `json:"region"`
	// Destinations are the AWS regions that may process requests, null where they are
	// not known; DestinationsBy says how they are known.
	Destinations   []string `json:"destinations"`
	DestinationsBy string   `json:"destinations_by,omitempty"`
	FailoverRegion string   `json:"failover_region,omitempty"`
	Auth           string   `json:"auth"`
	// Prices by tier, in USD per million tokens; or what each call costs.
	Prices     map[llm.ServiceTier]priceLine `json:"prices"`
	USDPerCall *float64                      `json:"usd_per_call,omitempty"`

	Training       *string  `json:"training"`
	RetentionDays  *int     `json:"retention_days"`
	Certifications []string `json:"certifications"`
	SourceURL      *string  `json:"source_url"`
	CheckedOn      *string  `json:"checked_on"`
}

func (c *Config) models() []modelLine {
	roles := c.rolesOf()
	policy := bedrock.NewRegionPolicy(nil)
	lines := []modelLine{}
	for _, ep := range c.Endpoints {
		l := modelLine{Endpoint: ep.Name, Roles: orEmpty(roles[ep.Name]), Provider: ep.Provider, Model: ep.Model, Family: familyOf(ep),
			Region: ep.Region, FailoverRegion: ep.FailoverRegion, Auth: authOf(ep), Prices: map[llm.ServiceTier]priceLine{},
			Training: orNull(ep.Training), RetentionDays: ep.RetentionDays, Certifications: orEmpty(ep.Certifications), SourceURL: orNull(ep.SourceURL), CheckedOn: orNull(ep.CheckedOn)}
		if onAWS(ep) {
			l.Destinations, l.DestinationsBy, _ = policy.Destinations(ep)
		}
		rates, _ := c.rates(ep)
		l.USDPerCall = rates.PerCall
		for _, p := range (&pricing{}).endpoint(c, ep) {
			if p.Tier != "" {
				l.Prices[p.Tier] = p
			}
		}
		lines = append(lines, l)
	}
	return lines
}

// authOf says how an endpoint is told who calls.
func authOf(ep llm.Endpoint) string {
	switch {
	case ep.Auth != "" && ep.Auth != llm.AuthKey:
		return ep.Auth
	case ep.APIKeyEnv != "" || ep.APIKeyFile != "":
		return llm.AuthKey
	case ep.Provider == "bedrock":
		return llm.AuthSigV4
	}
	return "none"
}

func writeModels(e *env, lines []modelLine) error {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENDPOINT\tROLES\tPROVIDER\tMODEL\tRUNS IN\tAUTH\tINPUT/OUTPUT\tTRAINING\tRETENTION\tCERTIFICATIONS\tSOURCE\tCHECKED")
	for _, l := range lines {
		price := "unknown"
		if p, ok := l.Prices[llm.TierStandard]; ok {
			price = usd(p.Input) + "/" + usd(p.Output)
		} else if l.USDPerCall != nil {
			price = cost(l.USDPerCall) + " a call"
		}
		retention := "not stated"
		if l.RetentionDays != nil {
			retention = fmt.Sprintf("%d days", *l.RetentionDays)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Endpoint, dash(strings.Join(l.Roles, ",")), l.Provider, l.Model, runsIn(l), l.Auth, price,
			stated(l.Training), retention, notStated(strings.Join(l.Certifications, ", ")), stated(l.SourceURL), stated(l.CheckedOn))
	}
	return w.Flush()
}

func runsIn(l modelLine) string {
	switch {
	case len(l.Destinations) > 0:
		return strings.Join(l.Destinations, ",") + " (" + l.DestinationsBy + ")"
	case l.Provider == "bedrock" || l.Auth == llm.AuthSigV4:
		return "not known; check --online asks"
	}
	return "not stated"
}

func stated(s *string) string {
	if s == nil {
		return "not stated"
	}
	return *s
}

func notStated(s string) string {
	if s == "" {
		return "not stated"
	}
	return s
}
