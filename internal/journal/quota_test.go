package journal

import (
	"context"
	"testing"
	"time"
)

// A host whose clock was a year fast holds nobody up for a year.
func TestQuotaSurvivesAFastClock(t *testing.T) {
	j := openTest(t, testConfig(t))
	kv, err := j.Bucket(t.Context(), BucketQuota)
	if err != nil {
		t.Fatal(err)
	}
	q := j.NewQuota("model", 600, 0)
	next, _ := time.Now().AddDate(1, 0, 0).MarshalJSON()
	if _, err := kv.Put(t.Context(), q.requests.key, []byte(`{"next":`+string(next)+`}`)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	for range 3 {
		if err := q.Take(ctx, 0); err != nil {
			t.Fatal(err)
		}
	}
	if again := j.NewQuota("model", 600, 0); again.Take(ctx, 0) != nil {
		t.Error("the wrong moment is still there for the next host")
	}
}
