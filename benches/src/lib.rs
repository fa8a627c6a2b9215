//! Benchmarks of the packet path and of memory.
