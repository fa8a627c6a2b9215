//! The program `fast` on the interfaces that have media addresses, those that come later too.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Instant;

use crossbeam::channel::Sender;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::{AddressFamily, SockaddrLike};

use crate::af_xdp::Opener;
use crate::backend::Unavailable;
use crate::background::Background;
use crate::bpf::{Link, Object, Pins};
use crate::config::XdpMode;
use crate::network::links::Links;
use crate::network::netdev;
use crate::probe;

/// How long after its start it is waited for that whoever had an interface before lets go of it: the kernel takes a while to bury a relay
/// that was killed, and the next one is often started at once.
const LETTING_GO: Duration = Duration::from_secs(1);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The program and the interfaces that have it, by their indices.
pub(super) struct Attached {
    object: Object,
    mode: XdpMode,
    /// Media addresses; none: those of every interface.
    addresses: Vec<IpAddr>,
    /// Where links live on.
    pins: Option<Pins>,
    /// Opens the workers' sockets on them.
    opener: Option<Opener>,
    links: BTreeMap<u32, (Link, Interface)>,
    /// What was refused when it was first tried.
    refusals: Vec<String>,
    tells: Vec<Sender<Vec<u32>>>,
    started: Instant,
}

/// An interface of Ethernet.
#[derive(Clone, Debug)]
struct Interface {
    index: u32,
    name: String,
    /// The program is in its driver, or is to be if that works.
    native: bool,
    /// What came of opening sockets on it, in words.
    sockets: Option<String>,
}

impl Attached {
    /// Attaches the program to all interfaces where that is possible. Where it is possible nowhere, the error says why of each.
    pub(super) fn new(
        object: Object,
        mode: XdpMode,
        addresses: Vec<IpAddr>,
        pins: Option<Pins>,
        opener: Option<Opener>,
    ) -> Result<Self, Unavailable> {
        let (links, refusals, tells) = (BTreeMap::new(), Vec::new(), Vec::new());
        let started = Instant::now();
        let mut attached = Self { object, mode, addresses, pins, opener, links, refusals, tells, started };
        let mut refusals = Vec::new();
        attached.update(|refusal| refusals.push(refusal))?;
        for refusal in &refusals {
            tracing::warn!("XDP: {refusal}");
        }
        attached.refusals = refusals;
        if attached.describe_sockets().is_err() {
            // Then they are done without. Nobody would listen to those of interfaces that come later.
            attached.opener = None;
        }
        match (attached.links.is_empty(), attached.refusals.is_empty()) {
            (false, _) => Ok(attached),
            (true, true) => Err(Unavailable::new("no interface of Ethernet has a media address")),
            (true, false) => Err(Unavailable::new(attached.refusals.join("; "))),
        }
    }

    /// In one line: where it is.
    pub(super) fn describe(&self) -> String {
        let each = self.links.values().map(|(_, interface)| {
            let how = if interface.native { "its driver" } else { "front of the network stack (generic)" };
            format!("{} in {how}", interface.name)
        });
        each.collect::<Vec<_>>().join(", ")
    }

    /// In one line: where there are sockets, or why nowhere.
    pub(super) fn describe_sockets(&self) -> Result<String, String> {
        let each = self.links.values().filter_map(|(_, Interface { name, sockets, .. })| {
            sockets.as_ref().map(|sockets| format!("{name} ({sockets})"))
        });
        let each = each.collect::<Vec<_>>().join(", ");
        if each.is_empty() { Err(self.refusals.join("; ")) } else { Ok(each) }
    }

    pub(super) fn indices(&self) -> Vec<u32> {
        self.links.keys().copied().collect()
    }

    /// Starts a thread that looks after interfaces, and tells which have the program when that changes. It is attached as long as
    /// what this gives lives.
    pub(super) fn watch(mut self, links: Links, tells: Vec<Sender<Vec<u32>>>) -> Result<Background, Unavailable> {
        /// Addresses come after their interfaces.
        const PERIOD_MS: u16 = 5_000;
        self.tells = tells;
        links.watch("patchcord-xdp", PERIOD_MS, move || self.look())
    }

    fn look(&mut self) {
        let before = self.indices();
        let looked = self.update(|refusal| tracing::debug!("XDP: {refusal}"));
        if let Err(error) = looked {
            tracing::debug!(%error, "interfaces cannot be listed");
        }
        if self.indices() != before {
            tracing::info!(interfaces = self.describe(), "XDP programs are attached");
            for tell in &self.tells {
                let _ = tell.send(self.indices());
            }
        }
    }

    /// Attaches the program where it is missing, and forgets interfaces that are gone. `refused` gets in words what could not be done.
    fn update(&mut self, mut refused: impl FnMut(String)) -> Result<(), Unavailable> {
        let interfaces = self.interfaces().map_err(|error| Unavailable::io("listing interfaces", &error))?;
        for interface in &interfaces {
            let loses = |(_, known): &(Link, Interface)| known.native && !self.may_be_native(interface);
            let mut has_had = None;
            match self.links.get(&interface.index) {
                // The other end of a veth has changed its mind: in front of the network stack it does not matter. Nor does it to sockets.
                Some(known) if loses(known) => {
                    tracing::info!(
                        interface = interface.name,
                        "XDP: what the program sends would be dropped in the driver now"
                    );
                    if let Some(pins) = &self.pins {
                        pins.remove(&pin_of(interface));
                    }
                    has_had = self.links.remove(&interface.index).and_then(|(_, known)| known.sockets);
                }
                Some(_) => continue,
                None => {}
            }
            match self.attach(interface) {
                Ok((link, native)) => {
                    let opened = if has_had.is_some() { Ok(has_had) } else { self.open_sockets(interface) };
                    let sockets = opened.unwrap_or_else(|refusal| {
                        refused(refusal);
                        None
                    });
                    let interface = Interface { native, sockets, ..interface.clone() };
                    self.links.insert(interface.index, (link, interface));
                }
                Err(refusal) => {
                    if has_had.is_some() {
                        self.close_sockets(interface.index);
                    }
                    refused(refusal);
                }
            }
        }
        let is_there = |index: u32| interfaces.iter().any(|interface| interface.index == index);
        let gone: Vec<u32> = self.indices().into_iter().filter(|index| !is_there(*index)).collect();
        for index in gone {
            self.links.remove(&index);
            self.close_sockets(index);
        }
        Ok(())
    }

    /// What came of it in words, if there are to be sockets at all.
    fn open_sockets(&mut self, interface: &Interface) -> Result<Option<String>, String> {
        let Some(opener) = &mut self.opener else { return Ok(None) };
        let opened = opener.open(interface.index, &interface.name);
        opened.map(Some).map_err(|refusal| {
            format!("{} has no AF_XDP sockets, and its packets go by the network stack: {refusal}", interface.name)
        })
    }

    fn close_sockets(&mut self, interface: u32) {
        if let Some(opener) = &mut self.opener {
            opener.close(interface);
        }
    }

    /// Where the program is then; else in words, why it cannot be attached.
    fn attach(&self, interface: &Interface) -> Result<(Link, bool), String> {
        let program = self.object.program("fast");
        let name = &interface.name;
        if let Some(pins) = &self.pins {
            match Link::pinned(pins, &pin_of(interface), program) {
                // It stays where it was attached, which was chosen by the same rule.
                Ok(Some(link)) => return Ok((link, interface.native && self.may_be_native(interface))),
                Ok(None) => {}
                // Its interface is gone, and this one has the same name.
                Err(_) => pins.remove(&pin_of(interface)),
            }
        }
        let mut refusal = None;
        let in_driver = interface.native.then_some(true);
        let in_front = (self.mode != XdpMode::Native).then_some(false);
        for native in [in_driver, in_front].into_iter().flatten() {
            let attach = || Link::xdp(program, interface.index, native);
            let mut attached = attach();
            while attached.as_ref().is_err_and(is_taken) && self.started.elapsed() < LETTING_GO {
                thread::sleep(BETWEEN_TRIES);
                attached = attach();
            }
            match attached {
                // Some drivers learn only by the program whether they can.
                Ok(_) if native && !self.may_be_native(interface) => {}
                Ok(link) => {
                    if let Some(Err(error)) = self.pins.as_ref().map(|pins| link.pin(pins, &pin_of(interface))) {
                        return Err(format!("the program on {name} cannot outlive the process: {error}"));
                    }
                    return Ok((link, native));
                }
                Err(error) if is_taken(&error) => {
                    return Err(format!("{name} has another XDP program, which is left alone (`ip link show {name}`)"));
                }
                Err(error) => refusal = Some(error),
            }
        }
        let refusal = refusal.map_or_else(String::new, |error| format!(": {error}"));
        Err(format!("the program cannot be attached to {name}{refusal} (Linux {})", probe::kernel()))
    }

    /// Whether what the program in its driver sends leaves, as far as the kernel knows; whoever asks for the driver by hand is believed.
    fn may_be_native(&self, interface: &Interface) -> bool {
        self.mode != XdpMode::Auto || netdev::takes_frames(interface.index).unwrap_or(true)
    }

    /// Interfaces of Ethernet that have a media address.
    fn interfaces(&self) -> io::Result<Vec<Interface>> {
        let mut found: BTreeMap<String, (bool, bool)> = BTreeMap::new();
        for address in getifaddrs().map_err(io::Error::from)? {
            let (is_ethernet, is_media) = found.entry(address.interface_name).or_default();
            let is_loopback = address.flags.contains(InterfaceFlags::IFF_LOOPBACK);
            let Some(at) = address.address else { continue };
            let ip = match at.family() {
                Some(AddressFamily::Packet) => {
                    // Six zeroes are no hardware address: a tunnel's.
                    let hardware = at.as_link_addr().and_then(nix::sys::socket::LinkAddr::addr);
                    *is_ethernet |= !is_loopback && hardware.is_some_and(|hardware| hardware != [0; 6]);
                    continue;
                }
                Some(AddressFamily::Inet) => at.as_sockaddr_in().map(|at| IpAddr::V4(at.ip())),
                Some(AddressFamily::Inet6) => at.as_sockaddr_in6().map(|at| IpAddr::V6(at.ip())),
                _ => None,
            };
            let is_ours = |ip: IpAddr| {
                let same = |media: &IpAddr| *media == ip || media.is_unspecified() && media.is_ipv4() == ip.is_ipv4();
                self.addresses.is_empty() || self.addresses.iter().any(same)
            };
            *is_media |= ip.is_some_and(is_ours);
        }
        let media = found.into_iter().filter(|&(_, (is_ethernet, is_media))| is_ethernet && is_media);
        Ok(media
            .filter_map(|(name, _)| {
                // Gone again meanwhile.
                let index = if_nametoindex(&*name).ok()?;
                // Kernels that do not say what an interface does are older than Linux 6.3, and then it had better be a device: software (a
                // veth) may drop what it is given.
                let has_device = || Path::new("/sys/class/net").join(&name).join("device/driver").exists();
                let native = match self.mode {
                    XdpMode::Native => true,
                    XdpMode::Generic => false,
                    XdpMode::Auto => netdev::takes_frames(index).is_ok() || has_device(),
                };
                Some(Interface { index, name, native, sockets: None })
            })
            .collect())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // An orderly end leaves nothing behind.
        if let Some(pins) = &self.pins {
            pins.clear();
        }
    }
}

fn pin_of(interface: &Interface) -> String {
    format!("link-{}", interface.name)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}
