// Package xmlscan reads XML for dissectors: bytes go in as they come, in pieces of
// any size, and elements that are known by name come out.
//
// Here live the scanner and the resolution of namespaces. No protocol lives here,
// and no document is ever held: of a tag its known name and its short attributes,
// of an element's text only what was asked for, all of it bounded and wiped when
// the element is over. Entities are never expanded but for the five of XML 1.0 and
// character references. What is not well-formed ends the document in hand.
package xmlscan
