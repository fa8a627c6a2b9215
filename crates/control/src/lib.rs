//! Calls, parties, port leases and bridge commands, and the HTTP front that exposes them.
