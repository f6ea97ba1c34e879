package bus

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/wardflow/wardflow/proto"
)

// A transaction that nobody ends must not hold up a restore for ever: what reads
// behind it gets an error, and begins anew.
func TestReaderWaitsForOpenTransactionsOnlySoLong(t *testing.T) {
	c := oneBroker(t)
	cl, err := c.client(append(produceOptions(), kgo.TransactionalID("left open"), kgo.TransactionTimeout(30*time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	m := Message{Topic: proto.TopicTraffic, Value: []byte("x")}
	if err := cl.ProduceSync(t.Context(), m.toKgo()).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read := func() (n int, err error) {
		_, err = r.Read(t.Context(), proto.TopicTraffic, 0, 0, func(rec Record) error {
			if !rec.Control {
				n++
			}
			return nil
		})
		return n, err
	}
	r.patience = time.Second
	if n, err := read(); n != 0 || err == nil || !strings.Contains(err.Error(), "a transaction is open there") {
		t.Errorf("read %d records, error %v", n, err)
	}
	r.patience = time.Minute
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if n, err := read(); n != 1 || err != nil {
		t.Errorf("when it has been committed: %d records, error %v", n, err)
	}
}
