package journal

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Config is the section [nats].
type Config struct {
	// Mode is "embedded" (a NATS server inside this process) or "external".
	Mode string `toml:"mode"`
	// Dir is the state directory: the embedded store, counters, keys, and the
	// admin socket. One daemon at a time may use it.
	Dir string `toml:"dir"`
	// Shared is the directory that this process shares with one that it takes over from;
	// empty is Dir.
	Shared string `toml:"-"`
	// URL of an external NATS; several, separated by commas.
	URL string `toml:"url"`
	// Credentials is the path of a NATS credentials file, or of a file that holds
	// the seed of a user's nkey (external).
	Credentials string `toml:"credentials"`
	// Create tells that this process makes the streams, buckets and stores, and
	// brings them up to date; else they must be there (external).
	Create bool `toml:"create"`
	// Proxies are the names of all proxies whose user may not read exchanges: the
	// process that makes the streams makes a reader of headers for each. Proxy is the
	// name of this one, empty where it may read (external).
	Proxies []string `toml:"proxies"`
	Proxy   string   `toml:"proxy"`
	// InboxPrefix is what the subjects begin with on which answers come; a user of
	// its own prefix cannot listen to the answers of others (external).
	InboxPrefix string `toml:"inbox_prefix"`
	// TLSCA, TLSCert and TLSKey are paths of PEM files (external).
	TLSCA   string `toml:"tls_ca"`
	TLSCert string `toml:"tls_cert"`
	TLSKey  string `toml:"tls_key"`
	// Replicas of every stream (external; embedded always has 1).
	Replicas int `toml:"replicas"`
	// Sync is "always" (every acknowledged message is on disk) or "interval"
	// (the server syncs every two minutes; a power cut loses up to that).
	Sync string `toml:"sync"`
	// Listen opens the embedded server to other processes of this host, as a
	// loopback address with port; empty keeps it inside this process.
	Listen string `toml:"listen"`
	// MaxStore bounds what all streams together may hold, in bytes.
	MaxStore int64 `toml:"max_store"`
	// Retention is how long records are kept. The four after it say so of one kind, 0 for
	// as long as Retention says; decisions, with 0, are kept for good.
	Retention          time.Duration `toml:"retention"`
	RetentionExchanges time.Duration `toml:"retention_exchanges"`
	RetentionTrials    time.Duration `toml:"retention_trials"`
	RetentionVerdicts  time.Duration `toml:"retention_verdicts"`
	RetentionDecisions time.Duration `toml:"retention_decisions"`
	// KeyFile is the path of a file with a secret of at least 32 bytes, readable by its
	// owner alone. It encrypts the embedded store, and wraps the secrets that records are
	// sealed with; without it neither is done.
	KeyFile string `toml:"key_file"`
}

// DefaultConfig has the value of every key that may be left out.
func DefaultConfig() Config {
	return Config{
		Mode:        "embedded",
		Dir:         "state",
		Create:      true,
		Proxies:     []string{},
		InboxPrefix: "_INBOX",
		Replicas:    1,
		Sync:        "always",
		MaxStore:    10 << 30,
		Retention:   30 * 24 * time.Hour,
	}
}

// Validate reports what is wrong with the section, all faults joined.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if c.Dir == "" {
		bad("dir is empty: the daemon needs a directory for its state")
	}
	switch c.Mode {
	case "embedded":
		if c.URL != "" {
			bad("url is set, but mode is \"embedded\"; set mode = \"external\" or remove url")
		}
		if !c.Create {
			bad("create is false, but mode is \"embedded\": nobody else can make the streams of a server inside this process")
		}
	case "external":
		if err := validURLs(c.URL); err != nil {
			errs = append(errs, err)
		}
		if c.Listen != "" {
			bad("listen is for mode \"embedded\" only")
		}
	default:
		bad("mode %q is unknown: \"embedded\" or \"external\"", c.Mode)
	}
	if !inboxPrefix.MatchString(c.InboxPrefix) {
		bad("inbox_prefix %q is not letters, digits, _ and -, in parts between dots", c.InboxPrefix)
	}
	for _, name := range append([]string{c.Proxy}, c.Proxies...) {
		if name != "" && !proxyName.MatchString(name) {
			bad("proxy %q is not 1 to 63 lower-case letters, digits, _ and -", name)
		}
	}
	if c.Sync != "always" && c.Sync != "interval" {
		bad("sync %q is unknown: \"always\" or \"interval\"", c.Sync)
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		bad("replicas is %d: 1 to 5", c.Replicas)
	}
	if c.Mode == "embedded" && c.Replicas > 1 {
		bad("replicas is %d, but the embedded server is one server; use an external cluster", c.Replicas)
	}
	if c.MaxStore < 64<<20 {
		bad("max_store is %d bytes; at least 67108864 (64 MiB) is needed", c.MaxStore)
	}
	if c.Retention < time.Hour {
		bad("retention is %s; at least 1h is needed", c.Retention)
	}
	for key, d := range map[string]time.Duration{"retention_exchanges": c.RetentionExchanges, "retention_trials": c.RetentionTrials,
		"retention_verdicts": c.RetentionVerdicts, "retention_decisions": c.RetentionDecisions} {
		if d != 0 && d < time.Hour {
			bad("%s is %s; at least 1h is needed, or 0", key, d)
		}
	}
	if _, err := readKeyFile(c.KeyFile); err != nil {
		errs = append(errs, err)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls_cert and tls_key go together")
	}
	if c.Listen != "" {
		if err := loopback(c.Listen); err != nil {
			errs = append(errs, err)
		}
	}
	for key, path := range map[string]string{"credentials": c.Credentials, "tls_ca": c.TLSCA, "tls_cert": c.TLSCert, "tls_key": c.TLSKey} {
		if path == "" {
			continue
		}
		if f, err := os.Open(path); err != nil {
			bad("%s cannot be read: %w", key, err)
		} else {
			f.Close()
		}
	}
	return errors.Join(errs...)
}

// inboxPrefix is what a prefix of subjects may be, without wildcards.
var inboxPrefix = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// proxyName is what may stand in the name of a durable.
var proxyName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

func validURLs(list string) error {
	if list == "" {
		return errors.New("url is missing (for example \"nats://127.0.0.1:4222\")")
	}
	for s := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(s))
		if err != nil || u.Host == "" {
			return fmt.Errorf("url %q is not an address like nats://host:4222", s)
		}
		if u.User != nil {
			return errors.New("url holds a user or password; name a file in credentials instead")
		}
	}
	return nil
}

func loopback(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if n, e := strconv.Atoi(port); err != nil || e != nil || n < 1 || n > 65535 {
		return fmt.Errorf("listen %q is not host:port", addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("listen %q is not a loopback address; the embedded server has no users, so other hosts need an external NATS", addr)
	}
	return nil
}
