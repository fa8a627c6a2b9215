//! The SIP stack against peers on loopback: some whose every word is the test's, and SIPp.

mod calls;
mod hostile;
mod load;
mod offers;
mod registrations;
mod sipp;
mod support;
mod transfers;
mod transports;
