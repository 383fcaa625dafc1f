package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/openai"
)

// relearn is how often a daemon asks the control plane anew where profiles lead: AWS
// adds regions to them without notice.
const relearn = 24 * time.Hour

// onAWS tells whether calls of an endpoint are processed in regions of AWS.
func onAWS(ep llm.Endpoint) bool {
	_, ok := ep.AWSRegion()
	return ok
}

// called are the endpoints that this configuration makes calls of: candidates, controls
// and judges.
func (c *Config) called() []llm.Endpoint {
	roles := c.rolesOf()
	var out []llm.Endpoint
	for _, ep := range c.Endpoints {
		for _, role := range roles[ep.Name] {
			if role != "baseline" {
				out = append(out, ep)
				break
			}
		}
	}
	return out
}

// rolesOf gives what each endpoint is to the sub-modules, by its name.
func (c *Config) rolesOf() map[string][]string {
	roles, _ := c.parts()
	return roles
}

// parts gives the roles of each endpoint, and the sub-modules in which it has them.
func (c *Config) parts() (roles, submodules map[string][]string) {
	roles, submodules = map[string][]string{}, map[string][]string{}
	add := func(name, role, submodule string) {
		if !slices.Contains(roles[name], role) {
			roles[name] = append(roles[name], role)
		}
		if !slices.Contains(submodules[name], submodule) {
			submodules[name] = append(submodules[name], submodule)
		}
	}
	for _, s := range c.Submodules {
		add(s.Baseline, "baseline", s.Name)
		for _, name := range s.Candidates {
			add(name, "candidate", s.Name)
		}
		if ep, ok := c.controlOf(s); ok {
			add(ep.Name, "control", s.Name)
		}
		if ep, _, ok := c.judgeOf(s); ok && c.judged(s) {
			add(ep.Name, "judge", s.Name)
		}
	}
	for _, name := range c.Judge.Endpoints {
		add(name, "judge", "")
	}
	return roles, submodules
}

// routes are the endpoint in each of its regions.
func routes(ep llm.Endpoint) []llm.Endpoint {
	ep.Region, _ = ep.AWSRegion() // an address may name it where the section does not
	list := []llm.Endpoint{ep}
	if ep.FailoverRegion != "" {
		other := ep
		other.Region = ep.FailoverRegion
		list = append(list, other)
	}
	return list
}

// regionFaults are the called endpoints whose requests are known to leave the allowed
// regions. One whose destinations are not known is no fault of the configuration: it is
// refused at every call until the control plane has said.
func (c *Config) regionFaults() error {
	if err := bedrock.CheckRegions(c.Replay.AllowedRegions); err != nil {
		return fmt.Errorf("allowed_regions cannot be used: %w", err)
	}
	policy := bedrock.NewRegionPolicy(c.Replay.AllowedRegions)
	var errs []error
	for _, ep := range c.called() {
		if !onAWS(ep) {
			continue
		}
		for _, route := range routes(ep) {
			if _, _, known := policy.Destinations(route); known {
				errs = append(errs, told(policy.Check(route)))
			}
		}
	}
	return errors.Join(errs...)
}

// regionNotes are what an operator should know of where requests go.
func (c *Config) regionNotes() []string {
	if len(c.Replay.AllowedRegions) == 0 {
		return nil
	}
	var notes []string
	policy := bedrock.NewRegionPolicy(c.Replay.AllowedRegions)
	for _, ep := range c.called() {
		switch {
		case !onAWS(ep):
			notes = append(notes, fmt.Sprintf("endpoint %q is not on AWS: replay.allowed_regions says nothing of where it processes requests", ep.Name))
		default:
			for _, route := range routes(ep) {
				if _, _, known := policy.Destinations(route); !known {
					notes = append(notes, told(policy.Check(route)).Error())
				}
			}
		}
	}
	return notes
}

// told is a refusal by the policy in the words of its cause, which quote nothing.
func told(err error) error {
	var e *llm.Error
	if errors.As(err, &e) {
		return fmt.Errorf("allowed_regions and endpoint %q: %w", e.Endpoint, e.Err)
	}
	return err
}

// restrict makes the client of an endpoint ask the policy at every call.
func restrict(client llm.Client, ep llm.Endpoint, policy *bedrock.RegionPolicy) {
	switch c := client.(type) {
	case *bedrock.Client:
		c.Restrict(policy)
	case *openai.Client:
		if onAWS(ep) {
			at := routes(ep)[0]
			c.Restrict(func() error { return policy.Check(at) })
		}
	}
}

// learnRegions asks the control plane where the profiles of the called endpoints lead,
// at once and then each day, until ctx ends.
func learnRegions(ctx context.Context, cfg *Config, who identify, policy *bedrock.RegionPolicy, log *slog.Logger) error {
	for {
		for _, ep := range cfg.called() {
			if ep.Provider != "bedrock" {
				continue
			}
			for _, route := range routes(ep) {
				if err := learn(ctx, route, who, policy); err != nil && ctx.Err() == nil {
					log.Warn("the control plane does not say where requests of an endpoint go; the built-in table counts, and what is in neither is refused",
						"endpoint", ep.Name, "region", route.Region, "err", summary(err))
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(relearn):
		}
	}
}

// learn asks for the profile of one endpoint. A plain model id needs no question.
func learn(ctx context.Context, ep llm.Endpoint, who identify, policy *bedrock.RegionPolicy) error {
	if _, source, ok := policy.Destinations(ep); ok && (source == bedrock.FromRegion || source == bedrock.FromARN) {
		return nil
	}
	credentials, err := who(ctx, ep)
	if err != nil {
		return err
	}
	control, err := bedrock.NewControl(ep, credentials, nil)
	if err != nil {
		return err
	}
	at := time.Now()
	list, err := control.Profiles(ctx)
	if err == nil {
		policy.Learn(ep.Region, list, at)
	}
	if _, source, ok := policy.Destinations(ep); ok && source == bedrock.FromControl {
		return nil
	}
	profile, err := control.Profile(ctx, ep.Model) // the list may not be allowed, or leave out what another account shares
	if err != nil {
		return err
	}
	policy.Learn(ep.Region, []bedrock.Profile{profile}, at)
	return nil
}

// summary is the text of an error that may stand in a log.
func summary(err error) string {
	var e *llm.Error
	if errors.As(err, &e) {
		return e.Summary()
	}
	return err.Error()
}
