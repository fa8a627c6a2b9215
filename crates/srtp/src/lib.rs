//! SRTP and SRTCP (RFC 3711, 6188, 7714): packets and batches protected and unprotected in place; keys in SDP (RFC 4568)
