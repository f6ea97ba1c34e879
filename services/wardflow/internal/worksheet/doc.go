// Package worksheet makes the list of what is missing or doubtful about devices,
// as a CSV file that people take to the ward, and reads back what they filled in.
//
// Here lives the form alone: which attributes are doubtful, how rows are sorted,
// how cells are kept from being formulas, what a filled row means. Where devices
// come from and where edits go is the caller's.
package worksheet
