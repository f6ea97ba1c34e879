package wsdiscovery

import (
	"bytes"
	"net"
	"net/url"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// onvifRoot begins the scopes of ONVIF (Core Specification 7.3.2.2).
const onvifRoot = "onvif://www.onvif.org/"

// The words of type and Profile scopes that leave.
var (
	onvifTypes    = words("video_encoder audio_encoder video_analytics ptz network_video_transmitter networkvideotransmitter network_video_display network_video_storage streaming recording")
	onvifProfiles = words("streaming g t s c a d m q")
	// Makers of cameras, by the first word of a name: the rest of a name is what
	// somebody typed, or the model again.
	cameraMakers = words(`hikvision dahua axis bosch hanwha samsung sony panasonic vivotek uniview unv tp-link reolink foscam avigilon pelco mobotix honeywell geovision acti arecont flir
		amcrest lorex ubiquiti tiandy milesight grandstream dlink d-link basler canon jvc lg hipcam ipc hanbang tvt jovision infinova sunell cisco verint indigovision ezviz hilook annke abus`)
)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// onvif reads the scopes of a camera or recorder: its hardware, kinds, profiles and
// place. Its name leaves only as far as it is a maker's.
func onvif(c *dissector.Context, a *proto.Attributes, scopes []byte) {
	var kinds, profiles []string
	for _, w := range bytes.Fields(scopes) {
		if len(w) < len(onvifRoot) || !strings.EqualFold(string(w[:len(onvifRoot)]), onvifRoot) {
			continue
		}
		kind, value, _ := strings.Cut(string(w[len(onvifRoot):]), "/")
		value, err := url.PathUnescape(value)
		if err != nil {
			c.Count("ws_discovery_scope_malformed")
			continue
		}
		switch low := strings.ToLower(value); strings.ToLower(kind) {
		case "hardware":
			if a.Get("model") == "" {
				a.Set("model", model(c, value))
			}
		case "name", "manufacturer", "mfr":
			first, _, _ := strings.Cut(strings.TrimLeft(value, " "), " ")
			if first, _, _ = strings.Cut(first, "/"); cameraMakers[strings.ToLower(first)] && a.Get("manufacturer") == "" {
				a.Set("manufacturer", first)
			}
		case "type":
			if onvifTypes[low] {
				kinds = add(kinds, low)
			}
		case "profile":
			if onvifProfiles[low] {
				profiles = add(profiles, low)
			}
		case "mac":
			if hw, err := net.ParseMAC(value); err == nil && len(hw) == 6 && a.Get("mac") == "" {
				a.Set("mac", hw.String())
			}
		case "location":
			if i := strings.LastIndexByte(value, '/'); i >= 0 {
				value = value[i+1:]
			}
			if strings.ContainsAny(value, "0123456789") && a.Get("location") == "" {
				a.Set("location", dissector.Place(value, "", ""))
			}
		}
	}
	a.SetList("onvif_types", kinds)
	a.SetList("onvif_profiles", profiles)
}

// model is a name of hardware: words of which one carries a digit, or one word.
func model(c *dissector.Context, s string) string {
	s = dissector.Text([]byte(s), 64)
	if s != "" && !strings.ContainsAny(s, "0123456789") && strings.Contains(s, " ") {
		c.Count("ws_discovery_value_withheld")
		return ""
	}
	return s
}
