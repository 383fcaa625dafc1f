package llm

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"
)

// A PriceRow is one row of a price table: what models cost that one provider serves,
// in some of its regions, through one kind of inference profile, in one tier.
type PriceRow struct {
	// Provider is "openai", "azure" or "bedrock".
	Provider string `toml:"provider"`
	// Models are ids as they stand in a call, on Bedrock without the prefix of a
	// cross-region profile, on Azure the names of the models, not of deployments.
	Models []string `toml:"models"`
	// Regions are the source regions where the row holds; none is all of them.
	Regions []string `toml:"regions"`
	// Profile is "region" (called by its plain id), "geo" or "global" (through a
	// cross-region profile); "" is any.
	Profile string `toml:"profile"`
	// Tier is the service tier, the standard one where it is left out.
	Tier ServiceTier `toml:"tier"`

	Input        *float64 `toml:"input"`
	Output       *float64 `toml:"output"`
	CacheRead    *float64 `toml:"cache_read"`
	CacheWrite5m *float64 `toml:"cache_write_5m"`
	CacheWrite1h *float64 `toml:"cache_write_1h"`
	// Long makes calls with a long prompt dearer.
	Long *LongPrompt `toml:"long"`

	// Source is where the figures were read, CheckedOn the day.
	Source    string    `toml:"source"`
	CheckedOn time.Time `toml:"checked_on"`

	// Override tells that the row is from the operator's own file.
	Override bool `toml:"-"`
}

// Price is what the row states.
func (r *PriceRow) Price() Price {
	return Price{Input: *r.Input, Output: *r.Output, CacheRead: r.CacheRead, CacheWrite5m: r.CacheWrite5m, CacheWrite1h: r.CacheWrite1h, Long: r.Long}
}

// validate reports what is wrong with the row.
func (r *PriceRow) validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if !slices.Contains([]string{"openai", "azure", "bedrock"}, r.Provider) {
		bad("provider %q is unknown: \"openai\", \"azure\" or \"bedrock\"", r.Provider)
	}
	if len(r.Models) == 0 {
		bad("models is missing")
	}
	if !slices.Contains([]string{"", profileRegion, profileGeo, profileGlobal}, r.Profile) {
		bad("profile %q is unknown: \"region\", \"geo\" or \"global\"", r.Profile)
	}
	if !slices.Contains([]ServiceTier{TierStandard, TierFlex, TierPriority, TierBatch}, r.Tier) {
		bad("tier %q is unknown: \"standard\", \"flex\", \"priority\" or \"batch\"", r.Tier)
	}
	if r.Source == "" || r.CheckedOn.IsZero() {
		bad("source and checked_on say where the figures are from, and of which day; both must be there")
	}
	if r.Input == nil || r.Output == nil {
		bad("input and output must both be there: what is free must say so with 0")
		return errors.Join(errs...)
	}
	p := r.Price()
	return errors.Join(append(errs, p.Validate())...)
}

// The ways in which a model on Bedrock is called.
const (
	profileRegion = "region"
	profileGeo    = "geo"
	profileGlobal = "global"
)

// A PriceTable finds what the calls of an endpoint cost.
type PriceTable struct {
	// CheckedOn is the day on which the table as a whole was last compared with
	// its sources.
	CheckedOn time.Time
	rows      []*PriceRow
}

//go:embed prices.toml
var builtinPrices string

// BuiltinPrices is the table in the binary.
var BuiltinPrices = sync.OnceValue(func() *PriceTable {
	t, err := ParsePrices("prices.toml", builtinPrices)
	if err != nil {
		panic(err) // a test reads it
	}
	return t
})

// ParsePrices reads a table in TOML. name is what its errors call it.
func ParsePrices(name, text string) (*PriceTable, error) {
	var file struct {
		CheckedOn time.Time  `toml:"checked_on"`
		Price     []PriceRow `toml:"price"`
	}
	md, err := toml.Decode(text, &file)
	if err != nil {
		return nil, fmt.Errorf("read prices: %s: %w", name, err)
	}
	var errs []error
	for _, key := range md.Undecoded() {
		errs = append(errs, fmt.Errorf("read prices: %s: unknown key %q", name, key))
	}
	t := &PriceTable{CheckedOn: file.CheckedOn}
	for i := range file.Price {
		r := &file.Price[i]
		if r.Tier == "" {
			r.Tier = TierStandard
		}
		if err := r.validate(); err != nil {
			errs = append(errs, fmt.Errorf("read prices: %s: row %d (%s): %w", name, i+1, strings.Join(r.Models, ", "), err))
		}
		t.rows = append(t.rows, r)
	}
	if len(errs) == 0 {
		errs = append(errs, t.ambiguous(name))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// ambiguous reports two rows of which neither says more than the other about the
// same thing.
func (t *PriceTable) ambiguous(name string) error {
	seen := map[string]int{}
	var errs []error
	for i, r := range t.rows {
		regions := r.Regions
		if len(regions) == 0 {
			regions = []string{""}
		}
		for _, model := range r.Models {
			for _, region := range regions {
				key := strings.Join([]string{r.Provider, model, region, r.Profile, string(r.Tier)}, "|")
				if before, ok := seen[key]; ok {
					errs = append(errs, fmt.Errorf("read prices: %s: rows %d and %d both price %s", name, before+1, i+1, key))
				}
				seen[key] = i
			}
		}
	}
	return errors.Join(errs...)
}

// With is the table with the rows of over put before its own: where one of them
// fits, it wins.
func (t *PriceTable) With(over *PriceTable) *PriceTable {
	out := &PriceTable{CheckedOn: t.CheckedOn}
	for _, r := range over.rows {
		own := *r
		own.Override = true
		out.rows = append(out.rows, &own)
	}
	out.rows = append(out.rows, t.rows...)
	return out
}

// String names the table by its day, and tells whether rows were put before its own.
func (t *PriceTable) String() string {
	s := t.CheckedOn.Format(time.DateOnly)
	if len(t.rows) > 0 && t.rows[0].Override {
		s += " with rows of one's own"
	}
	return s
}

// Rows are the table's rows, those of an override first.
func (t *PriceTable) Rows() []*PriceRow { return slices.Clone(t.rows) }

// Find gives the row for each tier in which the endpoint's model is sold; none
// where the table does not know it. Of rows that fit, the one that states more of
// region and profile wins, the profile first.
func (t *PriceTable) Find(ep *Endpoint) map[ServiceTier]*PriceRow {
	model, profile := ep.priced()
	found := map[ServiceTier]*PriceRow{}
	for _, r := range t.rows {
		if !r.fits(ep, model, profile) {
			continue
		}
		if best := found[r.Tier]; best == nil || r.rank() > best.rank() {
			found[r.Tier] = r
		}
	}
	return found
}

func (r *PriceRow) fits(ep *Endpoint, model, profile string) bool {
	if r.Provider != ep.seller() || !slices.Contains(r.Models, model) {
		return false
	}
	region, _ := ep.AWSRegion()
	return (len(r.Regions) == 0 || slices.Contains(r.Regions, region)) && (r.Profile == "" || r.Profile == profile)
}

// rank orders rows that fit the same endpoint.
func (r *PriceRow) rank() int {
	n := 0
	if r.Override {
		n += 4
	}
	if r.Profile != "" {
		n += 2
	}
	if len(r.Regions) > 0 {
		n++
	}
	return n
}

// Rates are what calls of the endpoint cost: by its own configuration, else by the
// table; false where neither knows, and nothing may be spent on it.
func (t *PriceTable) Rates(ep *Endpoint) (Rates, bool) {
	if ep.CostBasis == BasisShare {
		each := ep.FixedUSDMonth / float64(ep.CallsMonth)
		return Rates{PerCall: &each}, true
	}
	r := Rates{Tiers: map[ServiceTier]Price{}}
	for tier, row := range t.Find(ep) {
		r.Tiers[tier] = row.Price()
	}
	if ep.Price != nil {
		own := *ep.Price
		if own.Long == nil { // a price of one's own does not make long prompts cheaper
			own.Long = r.Tiers[TierStandard].Long
		}
		r.Tiers[TierStandard] = own
	}
	_, ok := r.Tiers[TierStandard]
	return r, ok
}

// seller is the provider whose prices hold for the endpoint: models on Bedrock's
// own OpenAI-shaped address are sold by Bedrock.
func (e *Endpoint) seller() string {
	if _, ok := e.AWSRegion(); ok {
		return "bedrock"
	}
	return e.Provider
}

// priced is the name under which a table has the endpoint's model, and the kind of
// profile through which it is called. What an ARN does not say is taken from the
// declared family, where that is the id of a model.
func (e *Endpoint) priced() (model, profile string) {
	if e.seller() != "bedrock" {
		if e.Family != "" {
			return e.Family, ""
		}
		return e.Model, ""
	}
	id := e.Model
	if strings.HasPrefix(id, "arn:") {
		parts := strings.SplitN(id, ":", 6) // arn:partition:service:region:account:resource
		kind, name, _ := strings.Cut(parts[len(parts)-1], "/")
		if kind != "foundation-model" && kind != "inference-profile" {
			return e.Family, ""
		}
		id = name
	}
	switch prefix, rest := cutRegion(id); prefix {
	case "":
		return rest, profileRegion
	case "global":
		return rest, profileGlobal
	default:
		return rest, profileGeo
	}
}
