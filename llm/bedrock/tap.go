package bedrock

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"

	"understudy/llm"
)

// An exchange is what one call shares with the tap that it goes through.
type exchange struct {
	attempt *llm.Attempt
	// send is the body that goes out, the one that was signed.
	send []byte
	// sent tells that the request left: what failed before was ours.
	sent   bool
	header http.Header
	// body is the answer's, where the service accepted the call, refused the one
	// where it did not.
	body, refused io.ReadCloser
}

// close frees the connection. The SDK does it for some operations, and not for others.
func (x *exchange) close() {
	for _, b := range []io.ReadCloser{x.body, x.refused} {
		if b != nil {
			_ = b.Close()
		}
	}
}

type exchangeKey struct{}

// A tap lets the SDK sign, address and send a call, and classify a refusal, but
// keeps the body of an accepted answer for our own reader: the SDK's loses the
// bytes of tool arguments, hides a cut stream, and misreads blocks that are
// newer than it. The SDK gets an empty answer instead.
type tap struct {
	http bedrockruntime.HTTPClient
}

// maxErrorBody bounds how much of a refusal is read.
const maxErrorBody = 1 << 20

// Do implements the SDK's HTTPClient.
func (t tap) Do(req *http.Request) (*http.Response, error) {
	x := req.Context().Value(exchangeKey{}).(*exchange) // only call sends through a tap
	x.own(req)
	x.attempt.Restart()
	x.sent = true
	resp, err := t.http.Do(req)
	if err != nil {
		return nil, err
	}
	x.attempt.Heard()
	x.header = resp.Header
	if resp.StatusCode/100 != 2 {
		x.refused = resp.Body
		resp.Body = limited{io.LimitReader(resp.Body, maxErrorBody), resp.Body}
		return resp, nil
	}
	x.body = resp.Body
	seen := *resp
	empty := "{}"
	if strings.HasSuffix(req.URL.Path, "-stream") {
		empty = ""
	}
	seen.Body, seen.ContentLength = io.NopCloser(strings.NewReader(empty)), int64(len(empty))
	return &seen, nil
}

// own gives the request a reader of its own over the body. The SDK closes its
// reader as soon as an answer begins, which a quick service may do while net/http
// still looks whether the body is over; the connection would break.
func (x *exchange) own(req *http.Request) {
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.send)), nil }
	req.Body, _ = req.GetBody() // it gives no error
	req.ContentLength = int64(len(x.send))
}

type limited struct {
	io.Reader
	io.Closer
}

func (x *exchange) context() context.Context {
	return context.WithValue(x.attempt.Context(), exchangeKey{}, x)
}
