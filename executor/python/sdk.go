// Package python carries the Python SDK that jobs import, so that a provider can mount it into every container.
package python

import "embed"

// Files is the tree of the package "tally".
//
//go:embed tally/*.py
var Files embed.FS
