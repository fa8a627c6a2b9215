//! The ng control protocol on the wire: bencode and JSON, cookies, flags.

#![forbid(unsafe_code)]
