package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrUnavailable tells that NATS could not be reached or did not answer:
	// the same call may succeed later.
	ErrUnavailable = errors.New("NATS is not available")
	// ErrFull tells that a limit of the stream or of the store is reached, or that
	// the disk is full: the same call may succeed once there is room.
	ErrFull = errors.New("the NATS store is full")
	// ErrForgotten tells that the texts of a record are gone for good: a secret that they
	// were sealed with was deleted. The record's numbers may be there.
	ErrForgotten = errors.New("forgotten")
	// ErrNotFound tells that a record is not (or no longer) stored.
	ErrNotFound = errors.New("not stored")
)

// Error codes of the JetStream API that lead to different decisions.
const (
	codeWrongLastSequence = 10071 // the subject already has its message
	codeStoreFailed       = 10077 // a limit of the stream: bytes, or messages of the subject
	codeNoStorage         = 10047 // the server's storage limit
	codeInsufficient      = 10023 // insufficient resources
	codeAccountFull       = 10002 // the account's limit, which a full disk lowers
)

// passing are the codes of a cluster that cannot say yet: it has no leader, or the same
// message is on its way already and may come to be stored or not.
var passing = []int{
	10007, // no cluster assigned
	10009, // not the leader
	10118, // the stream is offline
	10119, // the consumer is offline
	10158, // a message of that id is in process
	10164, // a message of that subject is in process
}

// noSpace tells that the server met a full disk, or a quota, in what it was asked.
func noSpace(e *jetstream.APIError) bool {
	return strings.Contains(e.Description, syscall.ENOSPC.Error()) || strings.Contains(e.Description, syscall.EDQUOT.Error())
}

func classifyAPI(api *jetstream.APIError, err error) error {
	switch code := int(api.ErrorCode); {
	case code == codeStoreFailed, code == codeNoStorage, code == codeInsufficient, code == codeAccountFull, noSpace(api):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case api.Code == 503, slices.Contains(passing, code): // also a server whose JetStream is off
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// classify puts one of the errors above in the chain of a NATS error.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrObjectNotFound) {
		return fmt.Errorf("%s: %w", op, ErrNotFound)
	}
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return fmt.Errorf("%s: %w", op, classifyAPI(api, err))
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", op, err)
	}
	for _, away := range []error{nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrDisconnected,
		nats.ErrReconnectBufExceeded, nats.ErrConnectionReconnecting, jetstream.ErrNoStreamResponse, context.DeadlineExceeded} {
		if errors.Is(err, away) {
			return fmt.Errorf("%s: %w: %w", op, ErrUnavailable, err)
		}
	}
	return fmt.Errorf("%s: %w", op, err)
}
