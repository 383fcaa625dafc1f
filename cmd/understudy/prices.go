package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"understudy/llm"
	"understudy/llm/bedrock"
)

var pricesVerb = &verb{
	name: "prices", short: "what models cost, by the table and by AWS's price list",
	args: "[MODEL] [--config FILE] [--input N --output N] [--suggest --region REGION] [-o text|json]",
	examples: "understudy prices llama3-3\nunderstudy prices --input 30000 --output 5000 sonnet\n" +
		"understudy prices --suggest --region eu-west-1 nova",
	run: runPrices,
}

// pricing is what the flags ask for.
type pricing struct {
	model, region string
	input, output int
	suggest       bool
}

func runPrices(ctx context.Context, e *env, args []string) error {
	var p pricing
	e.withConfig()
	e.withOutput("text", "json")
	e.flags.IntVar(&p.input, "input", 0, "price a call of so many `tokens` of input")
	e.flags.IntVar(&p.output, "output", 0, "price a call of so many `tokens` of output")
	e.flags.BoolVar(&p.suggest, "suggest", false, "read AWS's price list (needs pricing:GetProducts) and show what it says beside the table")
	e.flags.StringVar(&p.region, "region", "us-east-1", "--suggest: whose `prices`")
	rest, err := e.parse(args, 0, 1)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		p.model = rest[0]
	}
	if p.input < 0 || p.output < 0 {
		return fmt.Errorf("%w: --input and --output are numbers of tokens", errUsage)
	}
	cfg, err := e.optionalConfig()
	if err != nil {
		return err
	}
	if p.suggest {
		return p.list(ctx, e)
	}
	warnOldPrices(e, cfg)
	return p.show(e, cfg)
}

// optionalConfig is the configuration, or the defaults where none was named and none is
// there. Only the section [prices] and the endpoints need be valid.
func (e *env) optionalConfig() (*Config, error) {
	named := false
	for _, name := range visited(e) {
		named = named || name == "config" || name == "set"
	}
	if _, err := os.Stat(e.config); errors.Is(err, os.ErrNotExist) && !named {
		return defaultConfig(), nil
	}
	cfg, _, err := readConfig(e.config, e.sets)
	if err != nil {
		return nil, err
	}
	if err := cfg.loadPrices(); err != nil {
		return nil, fmt.Errorf("%w: [prices] %w", errConfig, err)
	}
	return cfg, nil
}

// priceAge is how old the table is.
func (c *Config) priceAge(now time.Time) time.Duration { return now.Sub(c.prices().CheckedOn) }

func warnOldPrices(e *env, cfg *Config) {
	if note := cfg.priceNote(time.Now()); note != "" {
		fmt.Fprintln(e.stderr, "note:", note)
	}
}

// priceNote says that the table is old, "" where it is not.
func (c *Config) priceNote(now time.Time) string {
	age := c.priceAge(now)
	if age <= c.Prices.MaxAge {
		return ""
	}
	return fmt.Sprintf("the price table is of %s, %d days old: compare it with the vendors' pages (understudy prices --suggest), and correct it in the file of [prices]",
		c.prices().CheckedOn.Format(time.DateOnly), int(age/(24*time.Hour)))
}

// A priceLine is one row as it is printed.
type priceLine struct {
	Endpoint     string          `json:"endpoint,omitempty"`
	Provider     string          `json:"provider"`
	Models       []string        `json:"models"`
	Regions      []string        `json:"regions,omitempty"`
	Profile      string          `json:"profile,omitempty"`
	Tier         llm.ServiceTier `json:"tier,omitempty"`
	Input        *float64        `json:"input_usd_per_million"`
	Output       *float64        `json:"output_usd_per_million"`
	CacheRead    *float64        `json:"cache_read_usd_per_million"`
	CacheWrite5m *float64        `json:"cache_write_5m_usd_per_million"`
	CacheWrite1h *float64        `json:"cache_write_1h_usd_per_million"`
	PerCall      *float64        `json:"usd_per_call,omitempty"`
	Cost         *float64        `json:"cost_usd,omitempty"`
	Source       string          `json:"source"`
	CheckedOn    string          `json:"checked_on,omitempty"`
}

func (p *pricing) show(e *env, cfg *Config) error {
	var endpoints, rows []priceLine
	for _, ep := range cfg.Endpoints {
		endpoints = append(endpoints, p.endpoint(cfg, ep)...)
	}
	for _, r := range cfg.prices().Rows() {
		if !p.wants(r.Models...) {
			continue
		}
		l := p.line(r.Price())
		l.Provider, l.Models, l.Regions, l.Profile, l.Tier = r.Provider, r.Models, r.Regions, r.Profile, r.Tier
		l.Source, l.CheckedOn = r.Source, r.CheckedOn.Format(time.DateOnly)
		if r.Override {
			l.Source = cfg.Prices.File + ": " + l.Source
		}
		rows = append(rows, l)
	}
	if e.output == "json" {
		return printJSON(e.stdout, map[string]any{"checked_on": cfg.prices().CheckedOn.Format(time.DateOnly), "age_days": int(cfg.priceAge(time.Now()) / (24 * time.Hour)),
			"endpoints": orEmpty(endpoints), "prices": orEmpty(rows)})
	}
	if len(endpoints) > 0 {
		fmt.Fprintf(e.stdout, "Endpoints of %s, USD per million tokens\n", e.config)
		p.table(e, endpoints)
		fmt.Fprintln(e.stdout)
	}
	fmt.Fprintf(e.stdout, "Price table of %s, USD per million tokens; a price that is not there is unknown, and nothing is spent on it\n", cfg.prices())
	p.table(e, rows)
	if len(rows) == 0 {
		fmt.Fprintf(e.stdout, "no row has a model like %q\n", p.model)
	}
	return nil
}

// wants tells whether one of the names holds the flag's, whatever the case and however
// its parts are put together: llama-3.3 finds llama3-3.
func (p *pricing) wants(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(bare(name), bare(p.model)) })
}

// bare is a name without what stands between its parts.
func bare(name string) string {
	return strings.NewReplacer("-", "", ".", "", "_", "", " ", "").Replace(strings.ToLower(name))
}

// line is a price with what the call of the flags would cost at it.
func (p *pricing) line(price llm.Price) priceLine {
	l := priceLine{Input: &price.Input, Output: &price.Output, CacheRead: price.CacheRead, CacheWrite5m: price.CacheWrite5m, CacheWrite1h: price.CacheWrite1h}
	if usd, ok := price.Cost(llm.Usage{InputTokens: p.input, OutputTokens: p.output}); ok && p.input+p.output > 0 {
		l.Cost = &usd
	}
	return l
}

// endpoint are the prices of an endpoint, tier by tier, and where each is from.
func (p *pricing) endpoint(cfg *Config, ep llm.Endpoint) []priceLine {
	if !p.wants(ep.Name, ep.Model, ep.Family) {
		return nil
	}
	rates, ok := cfg.rates(ep)
	name := func(l priceLine, source, checked string) priceLine {
		l.Endpoint, l.Provider, l.Models, l.Source, l.CheckedOn = ep.Name, ep.Provider, []string{ep.Model}, source, checked
		return l
	}
	if rates.PerCall != nil {
		l := name(priceLine{PerCall: rates.PerCall}, fmt.Sprintf("fixed_usd_month %v ÷ calls_month %d", ep.FixedUSDMonth, ep.CallsMonth), "")
		l.Cost = rates.PerCall
		return []priceLine{l}
	}
	if !ok {
		return []priceLine{name(priceLine{}, "no price is known: it is not called", "")}
	}
	var lines []priceLine
	rows := cfg.prices().Find(&ep)
	for _, tier := range []llm.ServiceTier{llm.TierStandard, llm.TierFlex, llm.TierPriority, llm.TierBatch} {
		price, ok := rates.Tiers[tier]
		if !ok {
			continue
		}
		l := name(p.line(price), "price of the endpoint's section", "")
		if row := rows[tier]; row != nil && (tier != llm.TierStandard || ep.Price == nil) {
			l = name(l, row.Source, row.CheckedOn.Format(time.DateOnly))
		}
		l.Tier = tier
		lines = append(lines, l)
	}
	return lines
}

func (p *pricing) table(e *env, lines []priceLine) {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	head := "MODEL\tPROVIDER\tWHERE\tTIER\tINPUT\tOUTPUT\tCACHE READ\tWRITE 5m\tWRITE 1h"
	if p.input+p.output > 0 {
		head = fmt.Sprintf("%s\tCALL OF %d + %d", head, p.input, p.output)
	}
	fmt.Fprintln(w, head+"\tCHECKED\tSOURCE")
	for _, l := range lines {
		model := l.Models[0]
		if n := len(l.Models) - 1; n > 0 {
			model += fmt.Sprintf(" +%d", n)
		}
		if l.Endpoint != "" {
			model = l.Endpoint + " (" + model + ")"
		}
		where := strings.TrimSpace(l.Profile + " " + strings.Join(l.Regions, " "))
		if n := len(l.Regions) - 2; n > 0 {
			where = strings.TrimSpace(l.Profile+" "+strings.Join(l.Regions[:2], " ")) + fmt.Sprintf(" +%d", n)
		}
		input, output := usd(l.Input), usd(l.Output)
		if l.PerCall != nil {
			input, output = cost(l.PerCall)+" a call", "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", model, l.Provider, dash(where), dash(string(l.Tier)), input, output,
			usd(l.CacheRead), usd(l.CacheWrite5m), usd(l.CacheWrite1h))
		if p.input+p.output > 0 {
			fmt.Fprintf(w, "\t%s", cost(l.Cost))
		}
		fmt.Fprintf(w, "\t%s\t%s\n", dash(l.CheckedOn), hosts(l.Source))
	}
	w.Flush()
}

// hosts are the places of a source without their paths, which -o json shows.
func hosts(source string) string {
	var out []string
	for _, word := range strings.Fields(source) {
		if u, err := url.Parse(word); err == nil && u.Host != "" {
			if word = u.Host; word == "github.com" {
				parts := strings.SplitN(u.Path, "/", 4) // "", owner, name, and what is inside
				word += strings.Join(parts[:min(3, len(parts))], "/")
			}
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func usd(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}

func cost(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return fmt.Sprintf("$%.6g", *v)
}

// list shows AWS's own price list. It has no model ids, so what belongs to which model
// is for the reader to say.
func (p *pricing) list(ctx context.Context, e *env) error {
	who, err := bedrock.LoadCredentials(ctx, llm.Endpoint{Name: "prices", Region: p.region})
	if err != nil {
		return err
	}
	lines, err := bedrock.PriceList(ctx, bedrock.PriceService{Credentials: who.Provider, BaseURL: os.Getenv("AWS_ENDPOINT_URL_PRICING")}, p.region, p.model)
	if err != nil {
		return online(err)
	}
	if e.output == "json" {
		return printJSON(e.stdout, map[string]any{"region": p.region, "listed": orEmpty(listed(lines))})
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "COUNTS\tTIER\tSCOPE\tUSD/MILLION\tAS WRITTEN\tMODEL\tUSAGE TYPE\tDESCRIPTION")
	for _, l := range lines {
		million := l.USDPerMillion
		if !l.Understood {
			million = "unit not understood"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s per %s\t%s\t%s\t%s\n", dash(l.Counts), dash(l.Tier), dash(l.Scope), million, l.USD, l.Unit, dash(l.Model), l.UsageType, l.Description)
	}
	w.Flush()
	fmt.Fprintf(e.stderr, "%d lines of AWS's price list for %s. It names no model ids: whose price a line is, only you can say. Put what you take over into the file of [prices].\n", len(lines), p.region)
	return nil
}

// A listedLine is a line of the price list as it is printed.
type listedLine struct {
	Service     string  `json:"service"`
	UsageType   string  `json:"usage_type"`
	Description string  `json:"description"`
	Model       string  `json:"model"`
	Provider    string  `json:"provider"`
	Counts      *string `json:"counts"`
	Tier        string  `json:"tier"`
	Scope       *string `json:"scope"`
	LongContext bool    `json:"long_context,omitempty"`
	Unit        string  `json:"unit"`
	USD         string  `json:"usd_as_written"`
	// Million is null where the unit is not understood.
	Million *json.Number `json:"usd_per_million"`
}

func listed(lines []bedrock.ListedPrice) []listedLine {
	var out []listedLine
	for _, l := range lines {
		o := listedLine{Service: l.Service, UsageType: l.UsageType, Description: l.Description, Model: l.Model, Provider: l.Provider,
			Counts: orNull(l.Counts), Tier: l.Tier, Scope: orNull(l.Scope), LongContext: l.LongContext, Unit: l.Unit, USD: l.USD}
		if l.Understood {
			n := json.Number(l.USDPerMillion)
			o.Million = &n
		}
		out = append(out, o)
	}
	return out
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// online is an error of a question to a provider, with the exit code that it deserves.
func online(err error) error {
	switch llm.ClassOf(err) {
	case llm.ClassNetwork, llm.ClassTimeout, llm.ClassOverloaded, llm.ClassThrottled:
		return &codedError{exitUnreachable, err}
	}
	return err
}
