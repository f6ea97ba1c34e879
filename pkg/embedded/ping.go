package embedded

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// ping lets the broker prove that it answers and takes the user: a SASL SCRAM-SHA-256 exchange (RFC 5802, RFC 7677)
// inside two kinds of Kafka request. Only pkg/bus may use a Kafka client, and no more than this is needed here.
func (c BrokerConfig) ping(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	const mechanism = "SCRAM-SHA-256"
	if _, err := roundTrip(conn, saslHandshake, binary.BigEndian.AppendUint16(nil, uint16(len(mechanism))), mechanism); err != nil {
		return fmt.Errorf("offer %s: %w", mechanism, err)
	}
	return c.scram(func(msg string) (string, error) {
		body, err := roundTrip(conn, saslAuthenticate, binary.BigEndian.AppendUint32(nil, uint32(len(msg))), msg)
		if err != nil {
			return "", err
		}
		// error_message is a nullable string, auth_bytes a length and bytes.
		text := int16(binary.BigEndian.Uint16(append(body, 0, 0)))
		at := 2 + int(max(text, 0))
		if at+4 > len(body) {
			return "", io.ErrUnexpectedEOF
		}
		n := int(binary.BigEndian.Uint32(body[at:]))
		if n > len(body)-at-4 {
			return "", io.ErrUnexpectedEOF
		}
		return string(body[at+4 : at+4+n]), nil
	})
}

// scram is the client's side of RFC 5802 without channel binding; send exchanges one message.
func (c BrokerConfig) scram(send func(string) (string, error)) error {
	nonce := rand.Text()
	bare := "n=" + c.User + ",r=" + nonce
	first, err := send("n,," + bare)
	if err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	attr := map[string]string{}
	for _, a := range strings.Split(first, ",") {
		if k, v, ok := strings.Cut(a, "="); ok {
			attr[k] = v
		}
	}
	salt, err := base64.StdEncoding.DecodeString(attr["s"])
	if err != nil {
		return fmt.Errorf("authenticate: read salt: %w", err)
	}
	rounds, err := strconv.Atoi(attr["i"])
	if err != nil || rounds < 1 || rounds > 1<<20 || !strings.HasPrefix(attr["r"], nonce) {
		return errors.New("authenticate: the server's challenge makes no sense")
	}
	salted, err := pbkdf2.Key(sha256.New, c.Password, salt, rounds, sha256.Size)
	if err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	clientKey := hmacSHA256(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	final := "c=biws,r=" + attr["r"]
	signed := bare + "," + first + "," + final
	proof := hmacSHA256(stored[:], signed)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	last, err := send(final + ",p=" + base64.StdEncoding.EncodeToString(proof))
	if err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	want := base64.StdEncoding.EncodeToString(hmacSHA256(hmacSHA256(salted, "Server Key"), signed))
	if !strings.HasPrefix(last, "v="+want) {
		return errors.New("authenticate: the server does not know the password")
	}
	return nil
}

func hmacSHA256(key []byte, msg string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(msg))
	return h.Sum(nil)
}

// Request kinds of the Kafka protocol, with the version used.
type kafkaRequest struct{ key, version uint16 }

var (
	saslHandshake    = kafkaRequest{17, 1}
	saslAuthenticate = kafkaRequest{36, 0}
)

const maxPingResponse = 1 << 16

// roundTrip sends a request whose body is prefix and text, and returns the response's body after its error code.
//
//	length i32 | api_key i16 | api_version i16 | correlation_id i32 | client_id (i16 length, bytes) | body
//	length i32 | correlation_id i32 | error_code i16 | body
func roundTrip(conn net.Conn, kind kafkaRequest, prefix []byte, text string) ([]byte, error) {
	const client = "wardflow-supervisor"
	b := binary.BigEndian.AppendUint16(make([]byte, 4), kind.key)
	b = binary.BigEndian.AppendUint16(b, kind.version)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(client)))
	b = append(append(append(b, client...), prefix...), text...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	var head [10]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[:])) - 6
	if n < 0 || n > maxPingResponse {
		return nil, fmt.Errorf("response of %d bytes", n)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, conn, n); err != nil {
		return nil, err
	}
	if code := binary.BigEndian.Uint16(head[8:]); code != 0 {
		return nil, fmt.Errorf("error code %d of the Kafka protocol", code)
	}
	return body.Bytes(), nil
}
