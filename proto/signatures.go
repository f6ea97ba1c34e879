package proto

// SignaturePack is a pack of signatures that somebody has added to all sites, or
// taken away again.
type SignaturePack struct {
	Time    Time   `json:"time"`
	Name    string `json:"name"`
	By      string `json:"by"`
	Note    string `json:"note"`
	Text    string `json:"text"` // YAML; empty when it is taken away
	Removed bool   `json:"removed"`
}
