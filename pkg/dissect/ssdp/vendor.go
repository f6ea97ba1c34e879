package ssdp

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// vendor reads the headers that makers have added.
func (m *message) vendor(a *proto.Attributes) {
	if id := strings.ToLower(string(m.header[hBridge])); len(id) == 16 && strings.Trim(id, "0123456789abcdef") == "" {
		a.Set("bridge_id", id)
	}
	model := dissector.Text(m.header[hModel], maxText)
	maker := ""
	for _, h := range [...]int{hPhysicalUnit, hServerInfo} {
		info := parameters(string(m.header[h]))
		if model == "" {
			model = info["mn"]
		}
		if maker == "" {
			maker = info["cn"]
		}
	}
	a.Set("manufacturer", dissector.Text([]byte(maker), maxText))
	a.Set("model", dissector.Text([]byte(model), maxText))
	if mac := parameters(string(m.header[hWakeup]))["mac"]; mac != "" {
		a.Set("mac", macText(mac))
	}
}

// parameters reads `name="value"; name=value`, by names in lower case.
func parameters(s string) map[string]string {
	if s == "" {
		return nil
	}
	out := map[string]string{}
	for _, p := range strings.SplitN(s, ";", 16) {
		k, v, ok := strings.Cut(p, "=")
		k = strings.ToLower(strings.TrimSpace(k))
		if _, twice := out[k]; ok && !twice {
			out[k] = strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return out
}

// macText is a device's own MAC in our form, "" for anything else.
func macText(s string) string {
	v, err := strconv.ParseUint(strings.ReplaceAll(strings.ReplaceAll(s, ":", ""), "-", ""), 16, 48)
	if err != nil || v == 0 {
		return ""
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	if mac := proto.MAC(b[2:]); !mac.IsGroup() {
		return mac.String()
	}
	return ""
}
