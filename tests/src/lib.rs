//! End-to-end tests and the tests that hold the architecture.
