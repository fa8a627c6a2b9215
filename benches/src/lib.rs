//! Criterion benchmarks of the packet path.
