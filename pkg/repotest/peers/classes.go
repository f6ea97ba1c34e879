package peers

// Classes say in words why a value of a peer's differs from ours.
var Classes = map[string]string{}
