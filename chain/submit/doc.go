// Package submit hands transactions to a node and says what became of each: taken, there already, in the way of another
// one, too late, or refused. A node alone cannot tell: to it, an input that this very transaction has spent looks like one
// that a stranger has. Handing the same bytes in again is always safe.
package submit
