package capture

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// certificates are what the data port shows of itself and accepts of its clients; nil
// where it speaks plain HTTP.
func certificates(cfg *Config) (*tls.Config, error) {
	if cfg.TLSCert == "" && cfg.TLSKey == "" && cfg.ClientCA == "" {
		return nil, nil
	}
	if cfg.TLSCert == "" || cfg.TLSKey == "" {
		return nil, errors.New("tls_cert and tls_key belong together, and client_ca needs both")
	}
	pair, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("tls_cert, tls_key: %w", err)
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	if cfg.ClientCA == "" {
		return out, nil
	}
	if out.ClientCAs, _, err = authorities(cfg.ClientCA, x509.NewCertPool()); err != nil {
		return nil, fmt.Errorf("client_ca: %w", err)
	}
	out.ClientAuth = tls.VerifyClientCertIfGiven
	return out, nil
}

// authorities adds the certificates of a PEM file to a pool; sum tells the file's
// content from another's.
func authorities(path string, pool *x509.CertPool) (with *x509.CertPool, sum [32]byte, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, sum, err
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, sum, fmt.Errorf("%s holds no certificate in PEM form", path)
	}
	return pool, sha256.Sum256(data), nil
}

// TLS is the configuration of the data port, which follows reloads; nil where it speaks
// plain HTTP.
func (c *Capture) TLS() *tls.Config {
	first := c.settings.Load().tls
	if first == nil {
		return nil
	}
	out := first.Clone()
	out.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.settings.Load().tls, nil }
	return out
}
