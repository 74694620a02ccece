// Package executor says what it means to run one task in isolation: the [Task], the [Handle] that
// finds it again after a crash, the [Runtime] that runs it, and the reader that takes what it left
// behind ([ListOutputs], [OpenOutput]). It knows nothing of offers, contracts or money, and imports
// nothing but the standard library.
//
// A task's program is a stranger's. Everything here treats it, and every file it writes, as hostile.
package executor
