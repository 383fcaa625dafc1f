package llm

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// PriceConfig is the section [prices].
type PriceConfig struct {
	// File is a table of the operator's own, in the form of the built-in one. Where a
	// row of it fits an endpoint, it wins.
	File string `toml:"file"`
	// MaxAge is the age above which the table is called old.
	MaxAge time.Duration `toml:"max_age"`
}

// DefaultPriceConfig has the value of every key that may be left out.
func DefaultPriceConfig() PriceConfig { return PriceConfig{MaxAge: 90 * 24 * time.Hour} }

// Validate reports what is wrong with the section.
func (c *PriceConfig) Validate() error {
	if c.MaxAge <= 0 {
		return errors.New("max_age must be above 0")
	}
	return nil
}

// Table is the built-in table under the rows of File.
func (c *PriceConfig) Table() (*PriceTable, error) {
	if c.File == "" {
		return BuiltinPrices(), nil
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return nil, fmt.Errorf("file cannot be read: %w", err)
	}
	own, err := ParsePrices(c.File, string(text))
	if err != nil {
		return nil, fmt.Errorf("file is no table of prices: %w", err)
	}
	return BuiltinPrices().With(own), nil
}
