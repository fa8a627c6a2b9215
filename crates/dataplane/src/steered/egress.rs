//! The program `egress` on all interfaces, those that come later too.

use std::collections::BTreeMap;
use std::io;

use nix::net::if_::if_nameindex;

use super::steering::SINCE;
use crate::backend::Unavailable;
use crate::background::Background;
use crate::bpf::{Link, Object, refused};
use crate::network::links::Links;

/// Attaches the program to the interfaces that are there, all of them or none, and starts a thread that looks after others. It is
/// attached as long as what this gives lives.
pub(super) fn start(object: Object) -> Result<Background, Unavailable> {
    /// How soon an interface is found whose news was lost.
    const PERIOD_MS: u16 = 10_000;
    let links = Links::listen()?;
    let mut attached = Attached { object, links: BTreeMap::new() };
    attached.update(|name, error| Err(refused(&format!("attaching `egress` to {name}"), &error, SINCE)))?;
    links.watch("patchcord-links", PERIOD_MS, move || {
        let _ = attached.update(|interface, error| {
            tracing::error!(
                interface,
                %error,
                "media that leaves by this interface comes from a wrong port: use --backend io-uring"
            );
            Ok::<(), ()>(())
        });
    })
}

/// The program and the interfaces that have it, by their indices.
struct Attached {
    object: Object,
    links: BTreeMap<u32, Link>,
}

impl Attached {
    /// Attaches the program to interfaces that do not have it, and forgets those that are gone.
    fn update<E>(&mut self, mut failed: impl FnMut(&str, io::Error) -> Result<(), E>) -> Result<(), E> {
        let interfaces = match if_nameindex() {
            Ok(interfaces) => interfaces,
            Err(errno) => return failed("any interface", errno.into()),
        };
        let present: Vec<u32> = interfaces.iter().map(nix::net::if_::Interface::index).collect();
        for interface in &interfaces {
            let (index, name) = (interface.index(), interface.name().to_string_lossy());
            if self.links.contains_key(&index) {
                continue;
            }
            match Link::egress(self.object.program("egress"), index) {
                Ok(link) => {
                    self.links.insert(index, link);
                }
                // It was gone again before the program was there.
                Err(_) if nix::net::if_::if_nametoindex(&*name).is_err() => {}
                Err(error) => failed(&name, error)?,
            }
        }
        self.links.retain(|index, _| present.contains(index));
        Ok(())
    }
}
