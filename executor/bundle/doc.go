// Package bundle moves directory trees (inputs, outputs, checkpoints, images) between peers, addressed by their content.
//
// A bundle is the regular files under a directory. Its Manifest lists them in ascending byte order of their paths, each with its
// size, whether it may be executed, and the SHA-256 hash of each 1 MiB chunk. Empty directories, times and owners are not kept;
// links, devices and whatever else is not a regular file are refused. The Root names a bundle and everything in it:
//
//	entry = u16 length of path ‖ path ‖ u8 flags (1 = executable) ‖ u64 size ‖ 32-byte hash of each chunk
//	leaf  = SHA-256(00 ‖ entry)
//	inner = SHA-256(01 ‖ left ‖ right), the tree split as in RFC 6962, section 2.1
//	root  = SHA-256(02 ‖ "tally-bundle-v1" ‖ u32 number of entries ‖ tree, or 32 zero bytes when there are no entries)
//
// Integers are big-endian; an encoded manifest is "tally-bundle-v1" ‖ u32 number of entries ‖ the entries, so one manifest has
// one encoding.
//
// On the wire (stream protocol /tally/bundle/1) the fetching side sends the root and whether it needs the manifest (33 bytes);
// the serving side answers a status byte, then, if asked, u32 length ‖ manifest. After that the fetching side sends requests of
// u16 n ‖ n × u32, each number a chunk's place in the manifest, and gets for each u32 length ‖ bytes. A request of no chunks ends
// the stream. Every chunk is hashed before it is stored; what has been stored is not fetched again.
package bundle
