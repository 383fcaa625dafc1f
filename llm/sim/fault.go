package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The kinds of Fault. The first group answers with an error at once.
const (
	FaultThrottle     = "throttle"      // 429, ThrottlingException; retry_after_s
	FaultQuota        = "quota"         // 429 insufficient_quota, ServiceQuotaExceededException
	FaultServerError  = "server_error"  // 500
	FaultUnavailable  = "unavailable"   // 503
	FaultTimeout      = "timeout"       // 504, ModelTimeoutException 408
	FaultNotReady     = "not_ready"     // 503, ModelNotReadyException 429
	FaultModelError   = "model_error"   // 500, ModelErrorException 424
	FaultAccessDenied = "access_denied" // 403
	FaultNotFound     = "not_found"     // 404

	FaultReset       = "reset"        // connection reset before any byte
	FaultStall       = "stall"        // silence of for_ms before the first byte
	FaultStallMid    = "stall_mid"    // silence of for_ms in the middle
	FaultSlow        = "slow"         // for_ms more before each event
	FaultCut         = "cut"          // connection reset in the middle, between two events
	FaultCutInside   = "cut_inside"   // connection reset in the middle of an event, or at at_byte
	FaultEndInside   = "end_inside"   // the same with a clean end
	FaultBadFrame    = "bad_frame"    // a frame with a wrong checksum, an event of broken JSON
	FaultException   = "exception"    // an error event in the middle, then a clean end, or the same error in place of a whole answer; code
	FaultMissingEnd  = "missing_end"  // clean end before the finish or messageStop
	FaultNoFinish    = "no_finish"    // the finish or messageStop is left out, what follows it is there
	FaultMissingTail = "missing_tail" // the finish is there, what follows it ([DONE], metadata) is not
	FaultFinish      = "finish"       // a whole answer whose finish or stop reason is code
	FaultUnknown     = "unknown"      // a piece of an unknown kind in the middle of a stream (bedrock)
)

var faultKinds = []string{
	FaultThrottle, FaultQuota, FaultServerError, FaultUnavailable, FaultTimeout, FaultNotReady, FaultModelError,
	FaultAccessDenied, FaultNotFound, FaultReset, FaultStall, FaultStallMid, FaultSlow, FaultCut, FaultCutInside,
	FaultEndInside, FaultBadFrame, FaultException, FaultMissingEnd, FaultNoFinish, FaultMissingTail, FaultFinish, FaultUnknown,
}

// A Fault breaks calls that are otherwise valid. Of several active ones the
// first that fires is used. POST /__fault takes this as JSON.
type Fault struct {
	// Kind is one of the Fault constants.
	Kind string `json:"kind"`
	// Model restricts the fault to one model id; "" and "*" are all.
	Model string `json:"model,omitempty"`
	// Skip lets so many matching calls pass first; Count ends the fault after
	// it fired so often, 0 never.
	Skip  int `json:"skip,omitempty"`
	Count int `json:"count,omitempty"`
	// Rate is the share of matching calls that it hits, drawn from the seed and
	// the request; 0 is every call.
	Rate float64 `json:"rate,omitempty"`
	// ForMS is the length of a stall, or of each pause of "slow"; 0 is 1000.
	ForMS int `json:"for_ms,omitempty"`
	// RetryAfterS goes out as Retry-After, in seconds; 0 sends none.
	RetryAfterS int `json:"retry_after_s,omitempty"`
	// AtByte is how many bytes of the answer's body go out before "cut_inside"
	// and "end_inside"; an answer that is no longer stays whole. 0 is half of
	// the event in the middle.
	AtByte int `json:"at_byte,omitempty"`
	// Code is the exception's name for "exception" (default
	// modelStreamErrorException or server_error), the reason for "finish".
	Code string `json:"code,omitempty"`
}

func (f *Fault) validate() error {
	switch {
	case !slices.Contains(faultKinds, f.Kind):
		return fmt.Errorf("fault kind %q is unknown; known: %v", f.Kind, faultKinds)
	case f.Skip < 0 || f.Count < 0 || f.ForMS < 0 || f.RetryAfterS < 0 || f.AtByte < 0:
		return fmt.Errorf("fault %s: a number is negative", f.Kind)
	case !(f.Rate >= 0 && f.Rate <= 1):
		return fmt.Errorf("fault %s: rate %v is outside 0..1", f.Kind, f.Rate)
	case f.AtByte > 0 && f.Kind != FaultCutInside && f.Kind != FaultEndInside:
		return fmt.Errorf("fault %s: at_byte is for %s and %s", f.Kind, FaultCutInside, FaultEndInside)
	case f.Kind == FaultFinish && f.Code == "":
		return fmt.Errorf("fault finish: code is missing; it is the reason to send")
	}
	return nil
}

// pause is how long the fault holds a call up.
func (f *Fault) pause() time.Duration {
	if f.ForMS == 0 {
		return time.Second
	}
	return time.Duration(f.ForMS) * time.Millisecond
}

// is tells whether a fault of that kind hits the call; f may be nil.
func (f *Fault) is(kind string) bool { return f != nil && f.Kind == kind }

// faults are the active ones.
type faults struct {
	mu     sync.Mutex
	active []*Fault
}

func (fs *faults) add(f Fault) error {
	if err := f.validate(); err != nil {
		return err
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.active = append(fs.active, &f)
	return nil
}

func (fs *faults) clear() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.active = nil
}

func (fs *faults) list() []Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	out := []Fault{}
	for _, f := range fs.active {
		out = append(out, *f)
	}
	return out
}

// next is the fault that hits this call, or nil. same tells whether a fault's
// model means the called one.
func (fs *faults) next(r *rand.Rand, same func(model string) bool) *Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i, f := range fs.active {
		if f.Model != "" && f.Model != "*" && !same(f.Model) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Rate > 0 && r.Float64() >= f.Rate {
			continue
		}
		hit := *f
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				fs.active = slices.Delete(fs.active, i, i+1)
			}
		}
		return &hit
	}
	return nil
}

// serveFaults is GET (list), POST (add one) and DELETE (end all) of /__fault.
func (s *Server) serveFaults(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
	case http.MethodDelete:
		s.faults.clear()
	case http.MethodPost:
		var f Fault
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		d.DisallowUnknownFields()
		err := d.Decode(&f)
		if err == nil {
			err = s.faults.add(f)
		}
		if err != nil {
			http.Error(w, "add fault: "+err.Error(), http.StatusBadRequest)
			return
		}
	default:
		http.Error(w, "use GET, POST or DELETE", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(map[string]any{"faults": s.faults.list()}))
}
