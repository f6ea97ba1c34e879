package capfile

import "io"

// counter counts what is read through it.
type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.n += int64(n)
	return n, err
}

// Position gives how many bytes of the captures' files have been read and how
// many there are, as they lie on the disk. What is no regular file counts on
// neither side.
func Position(readers ...*Reader) (read, size int64) {
	for _, r := range readers {
		if r.count != nil && r.size > 0 {
			read += min(r.count.n, r.size)
			size += r.size
		}
	}
	return read, size
}
