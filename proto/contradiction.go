package proto

// Contradiction is a value of a device's attribute that traffic speaks for beside the one
// that is told.
type Contradiction struct {
	Attribute  string  `json:"attribute"`
	Value      string  `json:"value"`
	Confidence float64 `json:"confidence"`
	Sources    Strings `json:"sources"`
}

// Contradictions is a list that is [] and never null in JSON.
type Contradictions []Contradiction

// MarshalJSON writes [] for an empty list.
func (s Contradictions) MarshalJSON() ([]byte, error) { return marshalList([]Contradiction(s)) }

func appendContradiction(b []byte, c Contradiction) []byte {
	b = appendText(append(b, `{"attribute":`...), c.Attribute)
	b = appendText(append(b, `,"value":`...), c.Value)
	b = appendFloat(append(b, `,"confidence":`...), c.Confidence)
	return append(appendList(append(b, `,"sources":`...), c.Sources, appendText), '}')
}
