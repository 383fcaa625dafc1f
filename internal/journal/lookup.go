package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Any replica of a stream may answer a look-up, also one that lags behind: it may
// say that a message is not there which its leader has had for a while. So where
// "not there" decides something, the leader is asked.

// stored reads the message at a sequence, or jetstream.ErrMsgNotFound.
func (j *Journal) stored(ctx context.Context, stream string, seq uint64) (*jetstream.RawStreamMsg, error) {
	m, err := j.streams[stream].GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) && j.replicated(stream) {
		return j.askLeader(ctx, stream, map[string]any{"seq": seq})
	}
	return m, err
}

// lastStored reads the last message of a subject, or jetstream.ErrMsgNotFound.
// There is none yet as often as not, so that a replicated stream's leader is asked
// at once.
func (j *Journal) lastStored(ctx context.Context, stream, subject string) (*jetstream.RawStreamMsg, error) {
	if !j.replicated(stream) {
		return j.streams[stream].GetLastMsgForSubject(ctx, subject)
	}
	return j.askLeader(ctx, stream, map[string]any{"last_by_subj": subject})
}

func (j *Journal) replicated(stream string) bool {
	return j.streams[stream].CachedInfo().Config.Replicas > 1
}

// askLeader makes the look-up that only a stream's leader answers.
func (j *Journal) askLeader(ctx context.Context, stream string, question map[string]any) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	reply, err := j.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string `json:"subject"`
			Seq     uint64 `json:"seq"`
			Header  []byte `json:"hdrs"`
			Data    []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("decode the answer of %s: %w", stream, err)
	}
	if e := answer.Error; e != nil {
		if e.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return nil, jetstream.ErrMsgNotFound
		}
		return nil, e
	}
	m := &jetstream.RawStreamMsg{Subject: answer.Message.Subject, Sequence: answer.Message.Seq, Data: answer.Message.Data}
	if len(answer.Message.Header) > 0 {
		if m.Header, err = nats.DecodeHeadersMsg(answer.Message.Header); err != nil {
			return nil, fmt.Errorf("decode the header of message %d of %s: %w", m.Sequence, stream, err)
		}
	}
	return m, nil
}
