// Package daemon is what every long-running process of understudy needs around
// its stages: signals, the admin listener and socket, systemd's notifications.
package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Config is the section [admin].
type Config struct {
	// Listen is the address of pages, metrics, health and the JSON API.
	Listen string `toml:"listen"`
	// TokenEnv names the environment variable, TokenFile the file, that holds the token
	// with which orders are taken on the listener; without one only the socket takes them.
	TokenEnv  string `toml:"token_env"`
	TokenFile string `toml:"token_file"`
	// Peers are the admin addresses of other hosts' proxies, which the verb bypass tells
	// as well, with the same token.
	Peers []string `toml:"peers"`
	// DrainTimeout is how long live requests may take to end at a shutdown.
	DrainTimeout time.Duration `toml:"drain_timeout"`
}

// DefaultConfig has the value of every key that may be left out.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:9090", Peers: []string{}, DrainTimeout: 2 * time.Minute}
}

// Validate reports what is wrong with the section.
func (c *Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("listen %q is not host:port", c.Listen))
	}
	if c.TokenEnv != "" && c.TokenFile != "" {
		errs = append(errs, errors.New("token_env and token_file: give one of them"))
	} else if _, err := c.Token(); err != nil {
		errs = append(errs, err)
	}
	for _, peer := range c.Peers {
		if u, err := url.Parse(peer); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, fmt.Errorf("peers: %q is not an address like http://10.0.0.2:9090", peer))
		}
	}
	if len(c.Peers) > 0 && c.TokenEnv == "" && c.TokenFile == "" {
		errs = append(errs, errors.New("peers need token_env or token_file: the other hosts take no order without it"))
	}
	if c.DrainTimeout < 0 {
		errs = append(errs, errors.New("drain_timeout is negative"))
	}
	return errors.Join(errs...)
}

// LogConfig is the section [log].
type LogConfig struct {
	// Level is debug, info, warn or error.
	Level string `toml:"level"`
}

// Validate reports an unknown level.
func (c *LogConfig) Validate() error {
	_, err := c.level()
	return err
}

func (c *LogConfig) level() (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(c.Level))); err != nil {
		return l, fmt.Errorf("level %q is unknown: debug, info, warn or error", c.Level)
	}
	return l, nil
}

// NewLog makes the logger: text where stderr is a terminal, JSON otherwise.
// level may be changed while the daemon runs.
func (c *LogConfig) NewLog(level *slog.LevelVar) *slog.Logger {
	c.Apply(level)
	o := &slog.HandlerOptions{Level: level}
	if st, err := os.Stderr.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		return slog.New(slog.NewTextHandler(os.Stderr, o))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, o))
}

// Apply sets level to the configured one.
func (c *LogConfig) Apply(level *slog.LevelVar) {
	if l, err := c.level(); err == nil {
		level.Set(l)
	}
}
