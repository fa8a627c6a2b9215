//! End-to-end tests and the tests that hold the architecture.
//!
//! What they share: a relay as a process of its own ([`Relay`]), its API from a client's side ([`Client`], [`Events`]), the
//! voices of the captures ([`voices`]), what the kernel knows about the relay ([`kernel`]), proxies ([`ng`]), hosts ([`hosts`]),
//! telephones with ICE ([`ice`]) and browsers ([`Browser`], [`Reader`]).
//!
//! Everything here panics when something does not go as it should: it serves tests only, and the text says what to do.

mod browser;
mod certificates;
mod client;
mod events;
mod folder;
pub mod hosts;
pub mod ice;
pub mod kernel;
pub mod ng;
mod ports;
mod privileges;
mod process;
mod relay;
pub mod sip;
pub mod stage;
pub mod voices;
mod wait;

pub use browser::{Browser, Reader};
pub use certificates::{Authority, Pair};
pub use client::{Answer, Client};
pub use events::Events;
pub use folder::Folder;
pub use ports::{Ports, free_port, free_port_on, free_ports};
pub use privileges::{in_a_namespace, privileged};
pub use process::{Process, Tool};
pub use relay::{Ended, Relay, run};
pub use wait::{PATIENCE, eventually};
