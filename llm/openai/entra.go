package openai

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"understudy/llm"
)

const (
	// defaultAuthority and defaultScope are those of Azure's public cloud.
	defaultAuthority = "https://login.microsoftonline.com"
	defaultScope     = "https://cognitiveservices.azure.com/.default"

	// early is how long before its end a token is renewed, or half its life where
	// that is less; last is how long before it is used no more.
	early = 5 * time.Minute
	last  = 10 * time.Second
	// again is how long a renewal that failed waits while the old token is good.
	again = 10 * time.Second
	// unstated is the life of a token whose answer names none.
	unstated = time.Minute
	// signInTimeout bounds one question for a token.
	signInTimeout = 30 * time.Second
)

// EntraAuthorizer says who calls an azure endpoint with auth = "entra": with the token
// in its api_key_file, read again when the file changes and at the latest each minute,
// or with one that its application is given by Microsoft Entra ID for a client secret
// (the client credentials flow of the Microsoft identity platform, v2.0). Such a token
// is kept and renewed before it ends; however many calls need one, one question is on
// its way, and the end of one call does not end it for the others. With a nil
// httpClient the questions have connections of their own. No I/O but reading the
// configured file or secret happens here.
func EntraAuthorizer(ep llm.Endpoint, httpClient *http.Client) (Authorizer, error) {
	if ep.Entra == nil {
		token := fromFile(ep.APIKeyFile)
		if _, err := token(context.Background()); err != nil {
			return nil, fmt.Errorf("endpoint %s: %w", ep.Name, err)
		}
		return bearerAuthorizer(token), nil
	}
	s, err := newSignIn(*ep.Entra, httpClient)
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: entra: %w", ep.Name, err)
	}
	return bearerAuthorizer(s.token), nil
}

// A signIn gets tokens for an application. It is safe for concurrent use.
type signIn struct {
	app  llm.Entra
	url  string
	http *http.Client
	now  func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	held   heldToken
}

// A heldToken is renewed from one time on and used until another.
type heldToken struct {
	value       string
	renew, ends time.Time
}

func newSignIn(app llm.Entra, httpClient *http.Client) (*signIn, error) {
	if app.Authority == "" {
		app.Authority = defaultAuthority
	}
	if app.Scope == "" {
		app.Scope = defaultScope
	}
	if err := llm.ValidBaseURL(app.Authority); err != nil {
		return nil, fmt.Errorf("authority %w", err)
	}
	if _, err := secretOf(app); err != nil {
		return nil, err
	}
	own := http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: handshakeTimeout}}
	if httpClient != nil {
		own = *httpClient
	}
	// A redirect would carry the secret to an address that nobody configured.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &signIn{
		app: app, http: &own, now: time.Now,
		url: strings.TrimRight(app.Authority, "/") + "/" + url.PathEscape(app.Tenant) + "/oauth2/v2.0/token",
	}, nil
}

// secretOf reads the application's secret from where the configuration says it is.
func secretOf(app llm.Entra) (string, error) {
	if app.ClientSecretFile != "" {
		b, err := os.ReadFile(app.ClientSecretFile)
		if err != nil {
			return "", fmt.Errorf("read client_secret_file: %w", err)
		}
		if secret := strings.TrimSpace(string(b)); secret != "" {
			return secret, nil
		}
		return "", fmt.Errorf("client_secret_file %s is empty", app.ClientSecretFile)
	}
	if secret := os.Getenv(app.ClientSecretEnv); secret != "" {
		return secret, nil
	}
	return "", fmt.Errorf("environment variable %q (client_secret_env) is empty", app.ClientSecretEnv)
}

// token gives the token that is good now. While an old one is, nobody waits for the
// next.
func (s *signIn) token(ctx context.Context) (string, error) {
	held, now := s.current(), s.now()
	if now.Before(held.renew) {
		return held.value, nil
	}
	fetched := s.flight.DoChan("", s.fetch)
	if now.Before(held.ends) {
		return held.value, nil
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-fetched:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	}
}

func (s *signIn) current() heldToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// fetch asks for a token, unless a question that has just ended brought one.
func (s *signIn) fetch() (any, error) {
	if held := s.current(); s.now().Before(held.renew) {
		return held.value, nil
	}
	value, life, err := s.ask()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if err != nil {
		if now.Before(s.held.ends) {
			s.held.renew = now.Add(again)
		}
		return nil, err
	}
	s.held = heldToken{value, now.Add(life - min(early, life/2)), now.Add(life - last)}
	return value, nil
}

// ask makes the question for a token, and tells how long the token lives.
func (s *signIn) ask() (string, time.Duration, error) {
	secret, err := secretOf(s.app) // anew: it may have been replaced
	if err != nil {
		return "", 0, err
	}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), oauth2.HTTPClient, s.http), signInTimeout)
	defer cancel()
	flow := clientcredentials.Config{
		ClientID: s.app.ClientID, ClientSecret: secret, TokenURL: s.url, Scopes: []string{s.app.Scope}, AuthStyle: oauth2.AuthStyleInParams,
	}
	t, err := flow.Token(ctx)
	switch {
	case err != nil:
		return "", 0, s.refusal(err, secret)
	case !sendable(t.AccessToken):
		return "", 0, s.fault("the token in the answer is none that can be sent")
	case t.Expiry.IsZero():
		return t.AccessToken, unstated, nil
	}
	return t.AccessToken, time.Until(t.Expiry), nil
}

// codeForm is the form of an error's code in OAuth 2.0, numberForm that of Entra's own.
var (
	codeForm   = regexp.MustCompile(`^[a-z_]{1,40}$`)
	numberForm = regexp.MustCompile(`AADSTS[0-9]{4,10}`)
)

// refusal says why there is no token. An answer's own words may repeat what was sent:
// only its codes are taken.
func (s *signIn) refusal(err error, secret string) error {
	var answer *oauth2.RetrieveError
	var away *url.Error
	why := "the answer is no token"
	switch {
	case errors.As(err, &answer):
		why = fmt.Sprintf("HTTP %d", answer.Response.StatusCode)
		if codeForm.MatchString(answer.ErrorCode) {
			why += " " + answer.ErrorCode
		}
		if n := numberForm.FindString(answer.ErrorDescription); n != "" {
			why += " " + n
		}
		why += "; check tenant, client_id, the client secret and scope"
	case errors.As(err, &away):
		why = away.Err.Error()
	}
	return s.fault(strings.ReplaceAll(why, secret, "…"))
}

func (s *signIn) fault(why string) error {
	return fmt.Errorf("get a token for %s from %s: %s", s.app.ClientID, s.url, why)
}
