//! A proxy, and a relay behind it.

use patchcord_control::ng::listen::Answer;
use patchcord_control::ng::{Ng, NgConfig};
use patchcord_ng::{Dict, Request, Transport};

use crate::relay::{Relay, config};

pub(crate) struct Stage {
    pub(crate) relay: Relay,
    ng: Ng,
}

impl Stage {
    pub(crate) fn new(change: impl FnOnce(&mut NgConfig)) -> Self {
        let relay = Relay::with(config(30000..=30199), 1);
        let mut config = NgConfig::default();
        change(&mut config);
        let ng = Ng::new(relay.control.clone(), config);
        Self { relay, ng }
    }

    /// The reply to an offer or answer, whatever it is.
    pub(crate) async fn ask(&self, command: &str, from: &str, to: Option<&str>, sdp: &str, flags: &[&str]) -> Dict {
        let mut dict =
            Dict::new().with("command", command).with("call-id", "c").with("from-tag", from).with("sdp", sdp);
        if let Some(to) = to {
            dict.set("to-tag", to);
        }
        dict.set("flags", flags.to_vec());
        self.ng.answer(Request { dict, transport: Transport::Udp, peer: None }).await
    }

    /// The SDP that the other side is told.
    pub(crate) async fn sdp(&self, command: &str, from: &str, to: Option<&str>, sdp: &str, flags: &[&str]) -> String {
        let reply = self.ask(command, from, to, sdp, flags).await;
        assert_eq!(reply.text("result").as_deref(), Some("ok"), "{reply:?}");
        reply.text("sdp").unwrap().into_owned()
    }

    pub(crate) async fn offer(&self, sdp: &str, flags: &[&str]) -> String {
        self.sdp("offer", "a", None, sdp, flags).await
    }

    pub(crate) async fn answer(&self, sdp: &str, flags: &[&str]) -> String {
        self.sdp("answer", "a", Some("b"), sdp, flags).await
    }
}
