package journal

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// external runs a NATS server on a port and returns its address.
func external(t *testing.T, change func(*server.Options)) string {
	t.Helper()
	log := &serverLog{log: quiet()}
	o := &server.Options{ServerName: "ext", Host: "127.0.0.1", Port: -1, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 1 << 30, JetStreamMaxMemory: 64 << 20}
	change(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("not ready: ", log.fatal)
	}
	return s.Addr().String()
}

func ready(j *Journal, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return j.WaitReady(ctx)
}

func TestExternalNATSWithTLS(t *testing.T) {
	ca, cert, key := certificates(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pem, _ := os.ReadFile(ca)
	pool.AppendCertsFromPEM(pem)
	addr := external(t, func(o *server.Options) {
		o.TLS, o.TLSVerify = true, true
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	})
	cfg := testConfig(t)
	cfg.Mode, cfg.URL, cfg.TLSCA, cfg.TLSCert, cfg.TLSKey = "external", "tls://"+addr, ca, cert, key
	j := openTest(t, cfg)
	if err := ready(j, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := j.PublishExchanges(t.Context(), "a", []*Exchange{exchange("a", 1)}); err != nil {
		t.Fatal(err)
	}
	cfg.Dir, cfg.TLSCert, cfg.TLSKey = t.TempDir(), "", ""
	if err := ready(openTest(t, cfg), 2*time.Second); err == nil {
		t.Error("the server accepted a client without a certificate")
	}
}

// certificates makes a certificate for 127.0.0.1 that signs itself, and files of it.
func certificates(t *testing.T) (ca, cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "EC PRIVATE KEY", keyDER)
	return cert, cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestExternalNATSWithCredentials(t *testing.T) {
	operator, _ := nkeys.CreateOperator()
	operatorKey, _ := operator.PublicKey()
	account, _ := nkeys.CreateAccount()
	accountKey, _ := account.PublicKey()
	claims := jwt.NewAccountClaims(accountKey)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: -1, MemoryStorage: -1, Streams: -1, Consumer: -1}
	accountJWT, err := claims.Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(accountKey, accountJWT); err != nil {
		t.Fatal(err)
	}
	system, _ := nkeys.CreateAccount()
	systemKey, _ := system.PublicKey()
	systemJWT, err := jwt.NewAccountClaims(systemKey).Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	if err := resolver.Store(systemKey, systemJWT); err != nil {
		t.Fatal(err)
	}
	addr := external(t, func(o *server.Options) {
		o.TrustedKeys, o.AccountResolver, o.SystemAccount = []string{operatorKey}, resolver, systemKey
	})

	user, _ := nkeys.CreateUser()
	userKey, _ := user.PublicKey()
	userJWT, err := jwt.NewUserClaims(userKey).Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	seed, _ := user.Seed()
	creds, err := jwt.FormatUserConfig(userJWT, seed)
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t)
	cfg.Mode, cfg.URL, cfg.Credentials = "external", "nats://"+addr, filepath.Join(t.TempDir(), "user.creds")
	if err := os.WriteFile(cfg.Credentials, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	j := openTest(t, cfg)
	if err := ready(j, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := j.PublishExchanges(t.Context(), "a", []*Exchange{exchange("a", 1)}); err != nil {
		t.Fatal(err)
	}
	cfg.Dir, cfg.Credentials = t.TempDir(), ""
	if err := ready(openTest(t, cfg), 2*time.Second); err == nil {
		t.Error("the server accepted a client without credentials")
	}
}
