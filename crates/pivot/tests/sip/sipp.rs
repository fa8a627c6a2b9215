//! sipp
