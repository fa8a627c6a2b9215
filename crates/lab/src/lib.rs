//! Load generation and measurement: captures, replayed streams, network namespaces, peers side by side.
