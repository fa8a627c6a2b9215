//! SDP that keeps every byte it did not mean to change.

#![forbid(unsafe_code)]
