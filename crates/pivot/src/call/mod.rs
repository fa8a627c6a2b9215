//! The call: what is to be done about what has happened.
