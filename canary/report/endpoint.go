package report

import (
	"slices"
	"strconv"
	"strings"

	"understudy/canary"
)

// An Endpoint is what whoever approves a change is told of an endpoint: where it runs,
// and what its operator has stated of it. Nothing of that is inferred: what was not
// stated is nil or empty.
type Endpoint struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	Model    string `json:"model"`
	// Submodules are those in which it has a role.
	Submodules []string `json:"submodules"`
	Roles      []string `json:"roles"`
	// Destinations are the regions that may process requests, empty where they are not
	// known; DestinationsBy says how they are known.
	Destinations   []string `json:"destinations"`
	DestinationsBy string   `json:"destinations_by,omitempty"`

	Training       *string  `json:"training"`
	RetentionDays  *int     `json:"retention_days"`
	Certifications []string `json:"certifications"`
	SourceURL      *string  `json:"source_url"`
	CheckedOn      *string  `json:"checked_on"`
}

// endpointsOf leaves out the endpoints that have no role in the sub-module.
func endpointsOf(list []Endpoint, submodule string) []Endpoint {
	return slices.DeleteFunc(slices.Clone(list), func(e Endpoint) bool {
		return !slices.Contains(e.Submodules, submodule) && !slices.Contains(e.Submodules, canary.Any)
	})
}

const notStated = "not stated"

func describeEndpoints(list []Endpoint, d *document) {
	if len(list) == 0 {
		return
	}
	d.heading(2, "Endpoints")
	d.say("Where requests run is by the provider's word or a dated table; the rest is as the operator has stated it. Nothing is inferred.")
	var rows [][]string
	for _, e := range list {
		retention := notStated
		if e.RetentionDays != nil {
			retention = strconv.Itoa(*e.RetentionDays) + " days"
		}
		runs := "not known"
		if len(e.Destinations) > 0 {
			runs = strings.Join(e.Destinations, ", ") + " (" + e.DestinationsBy + ")"
		}
		rows = append(rows, []string{e.Name, strings.Join(e.Roles, ", "), e.Model, runs, orNotStated(e.Training), retention,
			orWords(strings.Join(e.Certifications, ", ")), orNotStated(e.SourceURL), orNotStated(e.CheckedOn)})
	}
	d.table(rows, word("endpoint"), word("role"), word("model"), word("runs in"), word("trains on requests"), word("keeps them"), word("certifications"), word("source"), word("checked"))
}

func orNotStated(s *string) string {
	if s == nil {
		return notStated
	}
	return *s
}

func orWords(s string) string {
	if s == "" {
		return notStated
	}
	return s
}
