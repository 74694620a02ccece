// Package agree carries the market's messages between requester and provider over libp2p streams: quotes, proposals and witnesses,
// then status, results, receipts and logs.
//
// A call is one stream of /tally/agree/1 with one request and one answer, each a frame of u32 big-endian length ‖ market.Encode's
// bytes. A no is a market.Refusal, which both ends handle as an error. Logs have a protocol of their own, /tally/logs/1: the request
// is 28 bytes of job id ‖ u32 shard; the answer is a frame with an Ack or a Refusal and, after an Ack, the log's bytes to the end of
// the stream.
//
// A remote peer may be anyone: lengths are bounded before memory is taken, every read and write has a deadline, and one peer gets only
// so many calls at once. Who a message is from is the peer at the other end of the stream, whose key the connection has proved.
package agree
