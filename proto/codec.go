package proto

import "encoding/json"

func marshalList[T any](s []T) ([]byte, error) {
	if len(s) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal(s)
}
