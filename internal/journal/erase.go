package journal

import (
	"context"
	"encoding/base64"
	"errors"
	"math"

	"github.com/nats-io/nats.go/jetstream"
)

// To erase a message is to have the server overwrite it in its files. It does so where
// they are not encrypted; else it drops the message alone, and the bytes stay, sealed
// and encrypted, until it rewrites the file.

// erase erases a message, its object first: without the message nothing would lead to it.
// What is gone already is no error.
func (j *Journal) erase(ctx context.Context, one stale) error {
	if one.object != "" {
		if err := j.eraseObject(ctx, one.object); err != nil {
			return err
		}
	}
	return eraseMessage(ctx, j.streams[one.stream], one.seq)
}

func eraseMessage(ctx context.Context, s jetstream.Stream, seq uint64) error {
	err := s.SecureDeleteMsg(ctx, seq)
	if err != nil {
		// The server has one answer for what is gone and for what failed.
		if _, look := s.GetMsg(ctx, seq); errors.Is(look, jetstream.ErrMsgNotFound) {
			return nil
		}
	}
	return classify("erase message", err)
}

// eraseObject erases the chunks of an object, and then what describes it.
func (j *Journal) eraseObject(ctx context.Context, name string) error {
	info, err := j.bodies.GetInfo(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil
	}
	if err != nil {
		return classify("erase object "+name, err)
	}
	s, err := j.js.Stream(ctx, "OBJ_"+StoreBodies)
	if err != nil {
		return classify("erase object "+name, err)
	}
	for _, subject := range []string{
		"$O." + StoreBodies + ".C." + info.NUID,
		"$O." + StoreBodies + ".M." + base64.URLEncoding.EncodeToString([]byte(name)),
	} {
		if err := j.eraseSubject(ctx, s, "OBJ_"+StoreBodies, subject, math.MaxUint64); err != nil {
			return classify("erase object "+name, err)
		}
	}
	return nil
}

// eraseSubject erases the messages of a subject in front of a sequence.
// It asks the stream's leader: a replica may lag behind.
func (j *Journal) eraseSubject(ctx context.Context, s jetstream.Stream, stream, subject string, before uint64) error {
	for {
		m, err := j.askLeader(ctx, stream, map[string]any{"seq": 1, "next_by_subj": subject})
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence >= before {
			return nil
		}
		if err == nil {
			err = s.SecureDeleteMsg(ctx, m.Sequence)
		}
		if err != nil {
			return err
		}
	}
}
