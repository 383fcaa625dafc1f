package sim

import (
	"bytes"
	"net"
	"net/http"
	"time"
)

// A phase says where in an answer a frame stands.
type phase int

const (
	opening phase = iota // before content
	content
	finish // the event that makes the answer whole
	tail   // what follows it
)

// A frame is one event of a stream in its wire's bytes.
type frame struct {
	phase phase
	data  []byte
}

// A script is a whole streamed answer, ready to be played.
type script struct {
	contentType string
	frames      []frame
	// corrupt breaks one frame, exception makes the error event of a name.
	corrupt   func([]byte) []byte
	exception func(name string) []byte
	// unknown is an event with a piece of a kind that nobody knows, nil where the wire
	// has none.
	unknown []byte
}

// A delivery writes one answer at its times and remembers how far it came.
type delivery struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	start time.Time
	fault *Fault
	// written counts the bytes of a stream that went out.
	written int
	// late is what faults have added to every following moment.
	late  time.Duration
	tally *tally
}

// wait sleeps until a moment of the answer. When the caller has gone, or the
// simulator is stopped, the call ends as a broken connection: returning would make
// a clean end of what was sent so far.
func (d *delivery) wait(at time.Duration) {
	if !d.s.pace.until(d.r.Context(), d.start.Add(at+d.late)) {
		panic(http.ErrAbortHandler)
	}
}

// before handles the faults that come ahead of the first byte; false ends the call.
func (d *delivery) before() bool {
	switch {
	case d.fault.is(FaultReset):
		d.reset()
		return false
	case d.fault.is(FaultStall):
		d.late += d.fault.pause()
	}
	return true
}

// stream plays a script. First content goes out at ttft, the rest evenly until
// latency, the finish then: never earlier.
func (d *delivery) stream(sc script, latency, ttft time.Duration) {
	if !d.before() {
		return
	}
	d.wait(ttft)
	flush := http.NewResponseController(d.w)
	d.w.Header().Set("Content-Type", sc.contentType)
	d.w.WriteHeader(http.StatusOK)
	total, middle := countContent(sc.frames)
	done := 0
	for i, f := range sc.frames {
		at := latency
		switch f.phase {
		case opening:
			at = ttft
		case content:
			at = ttft + time.Duration(float64(latency-ttft)*float64(done)/float64(max(total, 1)))
		}
		if d.fault.is(FaultSlow) {
			d.late += d.fault.pause()
		}
		if i == middle && d.fault.is(FaultStallMid) {
			d.late += d.fault.pause()
		}
		if time.Until(d.start.Add(at+d.late)) > 0 {
			if flush.Flush() != nil {
				return
			}
			d.wait(at)
		}
		data, end := d.frame(sc, f, i == middle)
		if _, err := d.w.Write(data); err != nil {
			return
		}
		d.written += len(data)
		if end != whole {
			_ = flush.Flush()
			if end == broken {
				d.reset()
			}
			return
		}
		if f.phase == content {
			done++
			d.tally.sent = float64(done) / float64(total)
		}
	}
	d.complete()
	_ = flush.Flush()
}

// complete settles the call as a whole answer, before its last bytes are
// flushed: who has read the answer finds it counted.
func (d *delivery) complete() {
	if d.r.Context().Err() == nil && !d.fault.is(FaultBadFrame) && !d.fault.is(FaultNoFinish) {
		d.tally.settle(true)
	}
}

// An ending says what happens after a frame.
type ending int

const (
	whole   ending = iota // the stream goes on
	stopped               // it ends here, cleanly as HTTP sees it
	broken                // the connection is reset
)

// frame gives the bytes to write in place of f, and what follows.
func (d *delivery) frame(sc script, f frame, middle bool) ([]byte, ending) {
	switch {
	case middle && d.fault.is(FaultCut):
		return nil, broken
	case middle && d.fault.is(FaultException):
		return sc.exception(d.fault.Code), stopped
	case middle && d.fault.is(FaultBadFrame):
		return sc.corrupt(f.data), whole
	case middle && d.fault.is(FaultUnknown):
		return append(bytes.Clone(sc.unknown), f.data...), whole
	case f.phase >= finish && d.fault.is(FaultMissingEnd), f.phase == tail && d.fault.is(FaultMissingTail):
		return nil, stopped
	case f.phase == finish && d.fault.is(FaultNoFinish):
		return nil, whole
	}
	return d.inside(f.data, middle)
}

// inside gives of an event's bytes what goes out before a fault that ends the
// answer inside it, and what follows.
func (d *delivery) inside(data []byte, middle bool) ([]byte, ending) {
	end := stopped
	switch {
	case d.fault.is(FaultCutInside):
		end = broken
	case !d.fault.is(FaultEndInside):
		return data, whole
	}
	switch at := d.fault.AtByte; {
	case at == 0 && middle:
		return data[:len(data)/2], end
	case at > 0 && at < d.written+len(data):
		return data[:at-d.written], end
	}
	return data, whole
}

// countContent gives the number of content frames and the index of the frame
// that the faults of the middle hit: after the first content where there is any.
func countContent(frames []frame) (total, middle int) {
	first := -1
	for i, f := range frames {
		if f.phase == content {
			if first < 0 {
				first = i
			}
			total++
		}
	}
	if first < 0 {
		return 0, min(1, len(frames)-1)
	}
	return total, min(first+1+(total-1)/2, len(frames)-1)
}

// body writes an answer that is not streamed, at latency. hollow is what the
// provider sends when its answer is missing.
func (d *delivery) body(body, hollow []byte, latency time.Duration) {
	if !d.before() {
		return
	}
	if d.fault.is(FaultSlow) {
		d.late += d.fault.pause()
	}
	d.wait(latency)
	d.w.Header().Set("Content-Type", "application/json")
	if d.fault.is(FaultMissingEnd) || d.fault.is(FaultNoFinish) || d.fault.is(FaultMissingTail) {
		_, _ = d.w.Write(hollow)
		return
	}
	part, end := d.part(body)
	if len(part) == len(body) {
		d.complete()
		_, _ = d.w.Write(body)
		return
	}
	_, _ = d.w.Write(part)
	if end != stopped {
		d.rest(body[len(part):], end, latency)
	}
}

// rest goes on after a part of a body went out: with a reset, or with silence and
// what is left.
func (d *delivery) rest(left []byte, end ending, latency time.Duration) {
	_ = http.NewResponseController(d.w).Flush()
	if end == broken {
		d.reset()
		return
	}
	d.late += d.fault.pause()
	d.wait(latency)
	d.complete()
	_, _ = d.w.Write(left)
}

// part gives of a body that is not streamed what goes out before a fault of the
// middle, and what follows.
func (d *delivery) part(body []byte) ([]byte, ending) {
	half := body[:len(body)/2]
	switch {
	case d.fault.is(FaultCut):
		return half, broken
	case d.fault.is(FaultBadFrame):
		return half, stopped
	case d.fault.is(FaultStallMid):
		return half, whole
	}
	return d.inside(body, true)
}

// reset ends the connection with an RST, as a crashed peer or a middlebox does.
func (d *delivery) reset() {
	conn, _, err := http.NewResponseController(d.w).Hijack()
	if err != nil {
		// HTTP/2 or a recorder: the nearest is the server's own abort.
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
