package store

import (
	"encoding/hex"
	"fmt"
	"math"
	"net"
	"net/netip"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/wardflow/wardflow/proto"
)

// plain turns what the client library scans into values that print and encode
// as outputs.md wants them.
func plain(v reflect.Value) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Time:
		return proto.TimeOf(x).String()
	case uuid.UUID:
		return hex.EncodeToString(x[:])
	case net.IP:
		a, _ := netip.AddrFromSlice(x)
		return a.Unmap().String()
	case netip.Addr:
		return x.Unmap().String()
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil // JSON has no word for it
		}
		return x
	case fmt.Stringer:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			m[fmt.Sprint(plain(it.Key()))] = plain(it.Value())
		}
		return m
	}
	return v.Interface()
}
