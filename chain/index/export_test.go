package index

// Dump is all that an index holds, as text.
var Dump = dump
