package proto

// Conflict is a value of a device's attribute that traffic speaks for beside the one
// that is told.
type Conflict struct {
	Attribute  string  `json:"attribute"`
	Value      string  `json:"value"`
	Confidence float64 `json:"confidence"`
	Sources    Strings `json:"sources"`
}

// Conflicts is a list that is [] and never null in JSON.
type Conflicts []Conflict

// MarshalJSON writes [] for an empty list.
func (s Conflicts) MarshalJSON() ([]byte, error) { return marshalList([]Conflict(s)) }

func appendConflict(b []byte, c Conflict) []byte {
	b = appendText(append(b, `{"attribute":`...), c.Attribute)
	b = appendText(append(b, `,"value":`...), c.Value)
	b = appendFloat(append(b, `,"confidence":`...), c.Confidence)
	return append(appendList(append(b, `,"sources":`...), c.Sources, appendText), '}')
}
