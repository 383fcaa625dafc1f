package bedrock

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"understudy/llm"
)

// Anywhere stands among regions for every commercial one: as a destination of
// global profiles, and among allowed regions.
const Anywhere = "*"

// What Destinations names as the source of what it says.
const (
	FromRegion  = "region"        // the endpoint's own region
	FromARN     = "arn"           // the region in the model's ARN
	FromControl = "control plane" // what ListInferenceProfiles or GetInferenceProfile said
	FromTable   = "table"         // the built-in table of profiles
)

// A RegionPolicy says where requests may be processed, by what is known of the
// regions that a model's requests go to: the built-in table of profiles, and what
// the control plane said, of which the newer wins. Without allowed regions it
// restricts nothing. It is safe for concurrent use.
type RegionPolicy struct {
	allowed []string
	mu      sync.RWMutex
	learned map[profileKey]lesson
}

// A profileKey is a profile as it is called from one region.
type profileKey struct{ id, source string }

// A lesson is what the control plane said of a profile.
type lesson struct {
	destinations []string
	at           time.Time
}

// NewRegionPolicy allows the regions by their exact names, such as "eu-west-1", and
// with Anywhere every commercial region. An entry that CheckRegions refuses allows
// nothing.
func NewRegionPolicy(allowed []string) *RegionPolicy {
	return &RegionPolicy{allowed: slices.Clone(allowed), learned: map[profileKey]lesson{}}
}

// regionForm is the form of AWS's region names, such as us-east-1, us-gov-west-1.
var regionForm = regexp.MustCompile(`^[a-z]{2,5}(-[a-z]+){1,3}-[0-9]{1,2}$`)

// CheckRegions reports the entries that are neither a region's name nor Anywhere.
func CheckRegions(allowed []string) error {
	for _, r := range allowed {
		if r != Anywhere && !regionForm.MatchString(r) {
			return fmt.Errorf("allowed region %q is neither the name of an AWS region, such as \"eu-west-1\", nor \"*\"", r)
		}
	}
	return nil
}

// Learn takes what the control plane of sourceRegion said at a time. A profile
// that names no region teaches nothing, and older news never replace newer.
func (p *RegionPolicy) Learn(sourceRegion string, profiles []Profile, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range profiles {
		destinations := slices.Clone(f.Destinations)
		if f.Anywhere {
			destinations = sortedSet(append(destinations, Anywhere))
		}
		if len(destinations) == 0 {
			continue
		}
		for _, id := range profileIDs(f) {
			key := profileKey{id, sourceRegion}
			if old, ok := p.learned[key]; !ok || !at.Before(old.at) {
				p.learned[key] = lesson{destinations, at}
			}
		}
	}
}

// profileIDs are the names under which a profile may be asked for: its id, and the
// end of its ARN, should that differ.
func profileIDs(f Profile) []string {
	ids := []string{f.ID}
	if a, ok := parseARN(f.ARN); ok && a.id != f.ID {
		ids = append(ids, a.id)
	}
	return ids
}

// Destinations gives the regions that may process the endpoint's requests, sorted,
// and how that is known: FromRegion, FromARN, FromControl or FromTable. With ok
// false they are not known. Anywhere among them stands for all commercial regions.
func (p *RegionPolicy) Destinations(ep llm.Endpoint) (regions []string, source string, ok bool) {
	if strings.HasPrefix(ep.Model, "arn:") {
		return p.ofARN(ep)
	}
	if regions, source, ok := p.ofProfile(ep.Model, ep.Region); ok {
		return regions, source, true
	}
	if ep.Region != "" && plainModel(ep.Model) {
		return []string{ep.Region}, FromRegion, true
	}
	return nil, "", false
}

func (p *RegionPolicy) ofARN(ep llm.Endpoint) ([]string, string, bool) {
	a, ok := parseARN(ep.Model)
	if !ok {
		return nil, "", false
	}
	switch a.kind {
	case "inference-profile", "application-inference-profile":
		from := a.region
		if from == "" {
			from = ep.Region
		}
		return p.ofProfile(a.id, from)
	case "foundation-model", "provisioned-model", "custom-model", "custom-model-deployment", "imported-model":
		if a.region != "" {
			return []string{a.region}, FromARN, true
		}
	}
	return nil, "", false // a prompt, a router or an endpoint elsewhere: nothing says where they lead
}

func (p *RegionPolicy) ofProfile(id, source string) ([]string, string, bool) {
	row, listed := profileRow(id, source)
	p.mu.RLock()
	said, heard := p.learned[profileKey{id, source}]
	p.mu.RUnlock()
	switch {
	case heard && (!listed || !said.at.Before(row.asOf)):
		return slices.Clone(said.destinations), FromControl, true
	case listed:
		return slices.Clone(row.Destinations), FromTable, true
	}
	return nil, "", false
}

// plainModel tells that an id is a foundation model's own, by a vendor that is
// known: an id that begins with anything else may be a profile's.
func plainModel(id string) bool {
	vendor, _, ok := strings.Cut(id, ".")
	return ok && vendors[vendor] != ""
}

// Check gives nil where every region that may see the endpoint's requests is
// allowed, and else an *llm.Error of ClassAccess, not sent, that says what to do.
// The region to which the request is sent counts as well. A nil policy, and one
// without allowed regions, allows everything.
func (p *RegionPolicy) Check(ep llm.Endpoint) error {
	if p == nil || len(p.allowed) == 0 {
		return nil
	}
	destinations, source, ok := p.Destinations(ep)
	if !ok {
		return refusedRegion(ep, "its destination regions are not known: %s", whatToDo(ep))
	}
	seen := slices.Clone(destinations)
	if ep.Region != "" {
		seen = append(seen, ep.Region)
	}
	var bad []string
	for _, r := range sortedSet(seen) {
		if !p.allows(r) {
			bad = append(bad, r)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return refusedRegion(ep, "its requests may be processed in %s (by %s), and the allowed regions are %s: "+
		"call the model in an allowed region, by a profile whose regions are all allowed, or allow these",
		named(bad), source, named(p.allowed))
}

func (p *RegionPolicy) allows(region string) bool {
	return slices.Contains(p.allowed, region) ||
		slices.Contains(p.allowed, Anywhere) && commercial(region)
}

// commercial tells that a region belongs to the common partition of AWS.
func commercial(region string) bool {
	for _, other := range []string{"us-gov-", "cn-", "eusc-", "us-iso", "eu-iso"} {
		if strings.HasPrefix(region, other) {
			return false
		}
	}
	return true
}

func named(regions []string) string {
	text := strings.Join(regions, ", ")
	return strings.Replace(text, Anywhere, "* (any commercial region)", 1)
}

func whatToDo(ep llm.Endpoint) string {
	a, isARN := parseARN(ep.Model)
	switch {
	case isARN && strings.HasSuffix(a.kind, "inference-profile"):
		return "run check --online, which asks the control plane for the profile's regions"
	case isARN:
		return fmt.Sprintf("an ARN of the kind %s names none; name the model or the profile behind it", a.kind)
	case ep.Region == "":
		return "set region"
	}
	return "run check --online, which asks the control plane for the profile's regions; " +
		"a plain model of a vendor that is not known is named by its ARN, arn:aws:bedrock:REGION::foundation-model/ID"
}

func refusedRegion(ep llm.Endpoint, format string, a ...any) error {
	return &llm.Error{Op: "region policy", Endpoint: ep.Name, Class: llm.ClassAccess, NotSent: true,
		Err: fmt.Errorf("model %s is refused: %s", ep.Model, fmt.Sprintf(format, a...))}
}
