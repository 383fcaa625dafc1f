package bedrock

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/BurntSushi/toml"
)

//go:embed profiles.toml
var profilesTOML string

// A profileTable is profiles.toml: which regions a cross-region inference profile
// sends requests to, by profile and by the region in which it is called, for when
// the control plane cannot be asked. Each row says where it was read, and when.
type profileTable struct {
	Rows []destinationRow `toml:"row"`
}

type destinationRow struct {
	// Profiles are called from each of the Sources, and then lead to Destinations.
	Profiles     []string `toml:"profiles"`
	Sources      []string `toml:"sources"`
	Destinations []string `toml:"destinations"`
	// Source is where the row was read, AsOf a day, such as "2026-02-17", before which
	// its text was not written, CheckedOn the day on which it was read.
	Source    string `toml:"source"`
	AsOf      string `toml:"as_of"`
	CheckedOn string `toml:"checked_on"`

	asOf time.Time
}

// profileRows finds the row of a profile that is called from a region.
var profileRows = mustReadProfiles(profilesTOML)

func mustReadProfiles(text string) map[profileKey]*destinationRow {
	rows, err := readProfiles(text)
	if err != nil {
		panic("bedrock: " + err.Error()) // the table is part of the program, and a test reads it
	}
	return rows
}

func readProfiles(text string) (map[profileKey]*destinationRow, error) {
	var table profileTable
	meta, err := toml.Decode(text, &table)
	if err != nil {
		return nil, fmt.Errorf("read profiles.toml: %w", err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("read profiles.toml: key %s is unknown", unknown[0])
	}
	rows := map[profileKey]*destinationRow{}
	for i := range table.Rows {
		if err := table.Rows[i].addTo(rows); err != nil {
			return nil, fmt.Errorf("read profiles.toml: row %d: %w", i+1, err)
		}
	}
	return rows, nil
}

func (r *destinationRow) addTo(rows map[profileKey]*destinationRow) error {
	var err error
	if r.asOf, err = time.Parse(time.DateOnly, r.AsOf); err != nil {
		return fmt.Errorf("as_of: %w", err)
	}
	if checked, err := time.Parse(time.DateOnly, r.CheckedOn); err != nil || checked.Before(r.asOf) {
		return fmt.Errorf("checked_on %q is no day, or before as_of", r.CheckedOn)
	}
	if len(r.Profiles) == 0 || len(r.Sources) == 0 || len(r.Destinations) == 0 || r.Source == "" {
		return errors.New("profiles, sources, destinations and source must be there")
	}
	if err := CheckRegions(slices.Concat(r.Sources, r.Destinations)); err != nil {
		return err
	}
	r.Destinations = sortedSet(r.Destinations)
	for _, id := range r.Profiles {
		for _, source := range r.Sources {
			key := profileKey{id, source}
			if rows[key] != nil {
				return fmt.Errorf("profile %s from %s is there twice", id, source)
			}
			rows[key] = r
		}
	}
	return nil
}

func profileRow(id, source string) (*destinationRow, bool) {
	r, ok := profileRows[profileKey{id, source}]
	return r, ok
}

// ProfileDestinations gives the regions to which a cross-region inference profile
// sends requests that are made in sourceRegion, sorted, by the built-in table;
// Anywhere stands for all commercial regions. A profile, or a source region, of
// which no row speaks is not known, whatever its prefix.
func ProfileDestinations(id, sourceRegion string) (regions []string, ok bool) {
	row, ok := profileRow(id, sourceRegion)
	if !ok {
		return nil, false
	}
	return slices.Clone(row.Destinations), true
}
