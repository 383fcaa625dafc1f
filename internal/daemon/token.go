package daemon

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// minToken is the length of the shortest token that is accepted.
const minToken = 16

// Token is what a caller of the admin listener must show to give an order, empty where
// none is configured. It is read anew each time, so that it can be changed.
func (c *Config) Token() (string, error) {
	token, from := "", ""
	switch {
	case c.TokenFile != "":
		data, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return "", fmt.Errorf("admin.token_file: %w", err)
		}
		token, from = string(data), "token_file "+c.TokenFile
	case c.TokenEnv != "":
		token, from = os.Getenv(c.TokenEnv), "token_env "+c.TokenEnv
	default:
		return "", nil
	}
	if token = strings.TrimSpace(token); len(token) < minToken {
		return "", fmt.Errorf("admin.%s holds %d characters; a token has at least %d", from, len(token), minToken)
	}
	return token, nil
}

// HasToken tells whether a request carries the token as its bearer.
func HasToken(r *http.Request, token string) bool {
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(got), []byte(token)) == 1
}
