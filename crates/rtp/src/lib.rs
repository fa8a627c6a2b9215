//! RTP, RTCP, RFC 4733 and first-byte demultiplexing as views over bytes, and RFC 3550 receiver and sender state.
