//! DTLS-SRTP keying (RFC 5764): a handshake without I/O that ends in SRTP keys
