// Command tally is the whole market in one binary: the requester's, the provider's and the reviewer's commands. It
// wires the packages to each other, prints, and turns errors into sentences, hints and exit codes; it decides nothing.
package main
