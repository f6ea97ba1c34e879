package proto

// CanarySite is the site of the flows that Wardflow sends through itself to see
// how long they take. No sensor may have it. Its flows go every step of the way,
// and become rows of the table flows; folds pass them without looking, and no view
// shows them, so that they are no device, no detection, no risk and nobody's traffic.
const CanarySite = "wardflow-canary"
