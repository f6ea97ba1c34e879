package proto

// BatchWriter encodes items as they come, so that a batch's size is known before
// it is closed and no item is kept. It is not safe for concurrent use.
type BatchWriter struct {
	w writer
	n int
}

// NewBatchWriter makes an empty batch.
func NewBatchWriter() *BatchWriter { return new(BatchWriter) }

// Add encodes an item; after an error the batch is as before.
func (b *BatchWriter) Add(it *Item) error {
	size := len(b.w.b)
	if it.encode(&b.w); b.w.err != nil {
		err := b.w.err
		b.w.b, b.w.err = b.w.b[:size], nil
		return err
	}
	b.n++
	return nil
}

// Len is the number of items, Size their encoded bytes.
func (b *BatchWriter) Len() int { return b.n }

// Size is the encoded size of the items in bytes.
func (b *BatchWriter) Size() int { return len(b.w.b) }

// Finish gives the encoded batch with the naming fields of head and empties the
// writer. FirstSeq of head numbers the first item.
func (b *BatchWriter) Finish(head *Batch) ([]byte, error) {
	return b.Append(make([]byte, 0, len(b.w.b)+128), head)
}

// Append is Finish, to the end of dst.
func (b *BatchWriter) Append(dst []byte, head *Batch) ([]byte, error) {
	w := writer{b: dst}
	if head.encodeHead(&w, b.n); w.err != nil {
		return dst, w.err
	}
	w.b = append(w.b, b.w.b...)
	b.w.b, b.n = b.w.b[:0], 0
	return w.b, nil
}
