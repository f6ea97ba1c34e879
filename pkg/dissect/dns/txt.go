package dns

import (
	"bytes"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

const (
	maxStrings = 128 // of one TXT record
	maxValue   = 64  // bytes of a value that is told
)

// form makes a value of a TXT record presentable, "" for one that is not of its
// form.
type form func([]byte) string

// known is what a key of a TXT record means.
type known struct {
	attribute string
	form      form
}

// keys are the keys of TXT records that are device facts, in lower case. All other
// keys stay: note, n, fn, name and location are what an owner typed, rp, path and
// adminurl are places in the device. Sources: Apple's Bonjour Printing
// Specification 1.2 (ty, product, usb_MFG, usb_MDL, mfg, mdl), HomeKit Accessory
// Protocol (md, ci, id), Axis' and other makers' published examples.
var keys = map[string]known{
	"manufacturer": {"manufacturer", model},
	"mfg":          {"manufacturer", model},
	"usb_mfg":      {"manufacturer", model},
	"vendor":       {"manufacturer", model},
	"integrator":   {"manufacturer", model},
	"model":        {"model", model},
	"md":           {"model", model},
	"mdl":          {"model", model},
	"usb_mdl":      {"model", model},
	"modelid":      {"model", model},
	"modelname":    {"model", model},
	"rpmd":         {"model", model},
	"ty":           {"product", model},
	"product":      {"product", model},

	"serial":       {"serial", identifier},
	"serialnumber": {"serial", identifier},
	"sn":           {"serial", identifier},
	"usb_sn":       {"serial", identifier},

	"fw":               {"firmware_version", version},
	"firmware":         {"firmware_version", version},
	"fwversion":        {"firmware_version", version},
	"fw_version":       {"firmware_version", version},
	"firmwareversion":  {"firmware_version", version},
	"firmware_version": {"firmware_version", version},
	"version":          {"software_version", version},
	"swversion":        {"software_version", version},
	"sw_version":       {"software_version", version},
	"softwareversion":  {"software_version", version},
	"hw":               {"hardware_version", version},
	"hwversion":        {"hardware_version", version},
	"hw_version":       {"hardware_version", version},
	"osvers":           {"os_version", version},
	"osxvers":          {"darwin_version", number},
	"srcvers":          {"airplay_version", version},

	"mac":         {"mac", mac},
	"macaddress":  {"mac", mac},
	"mac_address": {"mac", mac},
	"deviceid":    {"mac", mac},
	"uuid":        {"device_uid", hexadecimal},
	"bridgeid":    {"device_uid", hexadecimal},
	"id":          {"device_uid", hexadecimal},
	"ci":          {"hap_category", number},
	"vp":          {"matter_product", identifier},
}

// otherwise are keys that mean something else, or nothing, with one service.
var otherwise = map[string]map[string]known{
	"_raop._tcp":            {"am": {"model", model}},
	"_airplay._tcp":         {"fv": {"firmware_version", version}},
	"_spotify-connect._tcp": {"version": {}},
	"_sleep-proxy._udp":     {"id": {}},
	"_touch-able._tcp":      {"id": {}},
}

// text reads a TXT record: strings of key=value, each with its length before it
// (RFC 6763 6). The first of a key counts.
func (s *service) text(c *dissector.Context, b []byte) {
	for range maxStrings {
		if len(b) == 0 {
			return
		}
		end := 1 + int(b[0])
		if end > len(b) {
			c.Count("mdns_text_malformed")
			return
		}
		key, value, ok := bytes.Cut(b[1:end], []byte("="))
		b = b[end:]
		if !ok || len(key) > 32 || len(value) == 0 {
			continue
		}
		name := strings.ToLower(string(key))
		k, special := otherwise[s.kind][name]
		if !special {
			k = keys[name]
		}
		if k.form == nil || s.facts.Get(k.attribute) != "" {
			continue
		}
		v := k.form(value)
		if v == "" {
			c.Count("mdns_value_withheld")
			continue
		}
		s.facts.Set(k.attribute, v)
	}
	if len(b) > 0 {
		c.Count("mdns_strings_skipped")
	}
}

// model is the name of a maker, a model or a product: short, and nobody's.
// Printers put theirs in parentheses.
func model(b []byte) string {
	s := dissector.Text(b, maxValue)
	if strings.HasPrefix(s, "(") && strings.HasSuffix(s, ")") {
		s = strings.TrimSpace(s[1 : len(s)-1])
	}
	if possessive(s) || strings.Contains(s, "@") {
		return ""
	}
	return s
}

// possessive holds for "Anna's iPhone": what systems propose where an owner's
// name is known.
func possessive(s string) bool {
	for _, mark := range []string{"'s ", "\u2019s ", "s' ", "s\u2019 "} {
		if strings.Contains(s, mark) {
			return true
		}
	}
	return false
}

// version is a version: a digit in it, and few words.
func version(b []byte) string {
	s := dissector.Text(b, maxValue)
	if !strings.ContainsAny(s, "0123456789") || len(strings.Fields(s)) > 4 || possessive(s) || strings.Contains(s, "@") {
		return ""
	}
	return s
}

// identifier is made of letters, digits and a few signs, one of them a digit.
func identifier(b []byte) string {
	s := dissector.Text(b, maxValue)
	if len(s) < 3 || !strings.ContainsAny(s, "0123456789") {
		return ""
	}
	for _, r := range strings.ToLower(s) {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && !strings.ContainsRune("-_.:+/", r) {
			return ""
		}
	}
	return s
}

// hexadecimal is an id of random or registered bits: a UUID, a MAC, an EUI-64.
func hexadecimal(b []byte) string {
	s := strings.ToLower(dissector.Text(b, maxValue))
	if len(s) < 12 || strings.Trim(s, "0123456789abcdef-:") != "" || !strings.ContainsAny(s, "0123456789") {
		return ""
	}
	return s
}

func number(b []byte) string {
	s := dissector.Text(b, 9)
	if strings.Trim(s, "0123456789") != "" {
		return ""
	}
	return s
}

func mac(b []byte) string { return macText(dissector.Text(b, 17)) }
