//! The profiles of providers (docs/providers): each page's configuration is read out of the page and run by the real program, and calls
//! and transfers go through it in the forms that the provider documents.
//!
//! No test here speaks with a provider. Telephones of the tests imitate what the sources of each page say that a provider sends, over
//! UDP on loopback; what is not documented is not imitated.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod carriers;
mod page;
mod pages;
mod platforms;
mod scene;
mod switches;

#[path = "../pivot/stage.rs"]
#[allow(dead_code, reason = "it is the pivot's, which needs more of it")]
mod stage;
