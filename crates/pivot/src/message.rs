//! What is said between the SIP stack and whoever decides about a call.

use core::net::SocketAddr;

/// Names a dialog (RFC 3261 12), or what is about to become one. The stack chooses those of INVITEs that come in, and
/// [`SipStack::next_dialog`](crate::sip::SipStack::next_dialog) those of INVITEs that go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialogId(pub u64);

/// Names a request whose answer is awaited: one of theirs until [`Action::Respond`], one of ours until [`Event::Answered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A session description (RFC 8866) as it stands in a message.
pub type Sdp = Box<str>;

/// A status line's code and reason phrase (RFC 3261 7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// 100 to 699.
    pub code: u16,
    /// For people; may be empty.
    pub phrase: Box<str>,
}

/// A `Reason` header field (RFC 3326).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `Q.850` or `SIP`.
    pub protocol: Box<str>,
    /// The Q.850 cause, or the SIP status code.
    pub cause: u16,
    /// For people.
    pub text: Option<Box<str>>,
}

/// A name-addr (RFC 3261 20.10): `"Alice" <sip:alice@example.com>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// What telephones show, without quotes; may be empty.
    pub display: Box<str>,
    /// A SIP, SIPS or tel URI as it was written, without angle brackets.
    pub uri: Box<str>,
}

/// A header field that passes as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// As written.
    pub name: Box<str>,
    /// As written, without line breaks.
    pub value: Box<str>,
}

/// By what a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// Its name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// Whether it goes over TLS, so that nobody between reads it, and whoever listens needs a certificate.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }
}

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The address of the last hop, not what any header says.
    pub address: SocketAddr,
    /// By what.
    pub transport: Transport,
}

/// An INVITE that has come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Whom it is for.
    pub request_uri: Box<str>,
    /// Who calls.
    pub from: Address,
    /// Whom they called.
    pub to: Address,
    /// Its Call-ID.
    pub call_id: Box<str>,
    /// Their tag in From.
    pub from_tag: Box<str>,
    /// Our tag in To.
    pub to_tag: Box<str>,
    /// The last hop.
    pub origin: Origin,
    /// The user that they have proven to be, where that was asked for.
    pub user: Option<Box<str>>,
    /// Every `P-Asserted-Identity` (RFC 3325).
    pub asserted: Vec<Address>,
    /// Every `Replaces` header field's value (RFC 3891): more than one is an error for whoever decides.
    pub replaces: Vec<Box<str>>,
    /// `Referred-By` (RFC 3892).
    pub referred_by: Option<Box<str>>,
    /// Methods of their `Allow`, if they say.
    pub allow: Option<Vec<Box<str>>>,
    /// Option tags of their `Supported`.
    pub supported: Vec<Box<str>>,
    /// Header fields whose name begins with `X-`.
    pub extra: Vec<Header>,
    /// Their offer; none if they want ours.
    pub offer: Option<Sdp>,
}

/// An INVITE that is to go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Whom it is for: a SIP or SIPS URI.
    pub request_uri: Box<str>,
    /// What To says; a SIP, SIPS or tel URI.
    pub to: Address,
    /// What From says.
    pub from: Address,
    /// `P-Asserted-Identity`.
    pub asserted: Option<Address>,
    /// The user part of our Contact.
    pub contact_user: Box<str>,
    /// Where it is sent whatever the request URI says: a SIP URI.
    pub proxy: Option<Box<str>>,
    /// What a challenge (401, 407) is answered with.
    pub credentials: Option<Credentials>,
    /// `Referred-By`, `Replaces`, `X-...`.
    pub headers: Vec<Header>,
    /// Our offer.
    pub offer: Sdp,
}

/// A digest account (RFC 7616).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: Box<str>,
    /// Password; never shown.
    pub password: Box<str>,
    /// The realm that it is for; any if none.
    pub realm: Option<Box<str>>,
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

/// A REFER that has come in (RFC 3515). Nothing of it has been judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refer {
    /// Its `CSeq` number, which names the subscription where a dialog has several (RFC 3515 2.4.6).
    pub cseq: u32,
    /// Every `Refer-To`, as written: exactly one is right.
    pub refer_to: Vec<Box<str>>,
    /// `Referred-By` (RFC 3892).
    pub referred_by: Option<Box<str>>,
    /// `Refer-Sub` (RFC 4488), if there.
    pub refer_sub: Option<bool>,
    /// `Target-Dialog` (RFC 4538) as written: what a REFER outside of a dialog is about.
    pub target_dialog: Option<Box<str>>,
    /// Who sent it.
    pub from: Address,
    /// The last hop.
    pub origin: Origin,
    /// The dialog that a 2xx to a REFER outside of a dialog begins: its NOTIFYs go there.
    pub subscription: Option<DialogId>,
    /// Header fields whose name begins with `X-`.
    pub extra: Vec<Header>,
}

/// Why an INVITE of ours came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The final status. Of our own making are 408 (nobody answered) and 503 (nobody could be reached), as RFC 3261 8.1.3.1 has it.
    pub status: Status,
    /// No response said so: we found out.
    pub is_local: bool,
    /// `Reason` of the response.
    pub reason: Option<Reason>,
    /// `Server` or `User-Agent` of the response: which hop answered.
    pub by: Option<Box<str>>,
    /// `Warning` of the response.
    pub warning: Option<Box<str>>,
    /// `Retry-After` in seconds.
    pub retry_after_s: Option<u32>,
}

impl Rejection {
    /// One that no response said: we found it out.
    #[must_use]
    pub const fn local(status: Status) -> Self {
        Self { status, is_local: true, reason: None, by: None, warning: None, retry_after_s: None }
    }
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An INVITE outside of any dialog. 100 has been sent.
    Invite(DialogId, Box<Incoming>),
    /// The caller has cancelled it before its final response, which the stack has sent (487).
    Cancelled(DialogId, Option<Reason>),
    /// A provisional response above 100 to an INVITE of ours.
    Progress {
        /// Whose.
        dialog: DialogId,
        /// 101 to 199.
        status: Status,
        /// Early media is described.
        sdp: Option<Sdp>,
    },
    /// A 2xx to an INVITE of ours. The ACK has been sent.
    Accepted {
        /// Whose.
        dialog: DialogId,
        /// Their answer to our offer.
        answer: Option<Sdp>,
        /// Methods of their `Allow`, if they say.
        allow: Option<Vec<Box<str>>>,
        /// The Call-ID that the dialog has.
        call_id: Box<str>,
        /// Our tag.
        from_tag: Box<str>,
        /// Theirs.
        to_tag: Box<str>,
    },
    /// A final response other than 2xx to an INVITE of ours, or none. The dialog is over.
    Rejected(DialogId, Box<Rejection>),
    /// The ACK of a 2xx of ours.
    Acknowledged {
        /// Whose.
        dialog: DialogId,
        /// Their answer, if the offer was ours.
        answer: Option<Sdp>,
    },
    /// A re-INVITE or UPDATE. [`Action::Respond`] answers it.
    Offer {
        /// Whose.
        dialog: DialogId,
        /// Its name.
        request: RequestId,
        /// It is an UPDATE (RFC 3311).
        is_update: bool,
        /// Their offer; none if they want ours.
        offer: Option<Sdp>,
    },
    /// A REFER, in a dialog or outside. [`Action::Respond`] answers it; a retransmission gets the same answer without another event.
    Refer {
        /// Whose.
        dialog: Option<DialogId>,
        /// Its name.
        request: RequestId,
        /// What it says.
        refer: Box<Refer>,
    },
    /// A NOTIFY of a REFER of ours. [`Action::Respond`] answers it.
    Notify {
        /// Whose.
        dialog: DialogId,
        /// Its name.
        request: RequestId,
        /// `Event`, with its parameters.
        event: Box<str>,
        /// `Subscription-State`, with its parameters.
        state: Box<str>,
        /// The sipfrag (RFC 3420).
        body: Box<str>,
    },
    /// Another request in a dialog, INFO or MESSAGE. [`Action::Respond`] answers it.
    Other {
        /// Whose.
        dialog: DialogId,
        /// Its name.
        request: RequestId,
        /// `INFO`, `MESSAGE`.
        method: Box<str>,
        /// `Content-Type`.
        content_type: Option<Box<str>>,
        /// What it says.
        body: Box<str>,
    },
    /// The dialog is over by a BYE of theirs, which has been answered, or because they are gone (RFC 3261 12.2.1.2).
    Ended(DialogId, Option<Reason>),
    /// The final response to a request of ours: [`Action::Bye`], [`Action::Notify`], [`Action::Refer`], [`Action::Offer`]. 408 if there was none.
    Answered {
        /// Its name.
        request: RequestId,
        /// What they say.
        status: Status,
        /// Their answer to an offer.
        answer: Option<Sdp>,
    },
}

/// Something that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sends an INVITE.
    Invite(DialogId, Box<Outgoing>),
    /// Cancels an INVITE of ours; [`Event::Rejected`] (487) follows, or [`Event::Accepted`] if it was too late, and then it has to be ended.
    Cancel(DialogId, Option<Reason>),
    /// A provisional response to an INVITE of theirs.
    Progress {
        /// Whose.
        dialog: DialogId,
        /// 101 to 199.
        status: Status,
        /// Early media.
        sdp: Option<Sdp>,
    },
    /// 200 to an INVITE of theirs.
    Accept {
        /// Whose.
        dialog: DialogId,
        /// Our answer, or our offer.
        sdp: Sdp,
    },
    /// A final response other than 2xx to an INVITE of theirs.
    Reject {
        /// Whose.
        dialog: DialogId,
        /// 300 to 699.
        status: Status,
        /// Besides.
        headers: Vec<Header>,
    },
    /// Ends a dialog.
    Bye {
        /// Which.
        dialog: DialogId,
        /// Names the BYE.
        request: RequestId,
        /// Why.
        reason: Option<Reason>,
    },
    /// The final response to a request of theirs.
    Respond {
        /// Which.
        request: RequestId,
        /// 200 to 699.
        status: Status,
        /// Besides.
        headers: Vec<Header>,
        /// An answer.
        sdp: Option<Sdp>,
    },
    /// Tells how a REFER of theirs gets on (RFC 3515 2.4.4).
    Notify {
        /// In which dialog.
        dialog: DialogId,
        /// Names the NOTIFY.
        request: RequestId,
        /// `Event`: `refer`, `refer;id=93809823`.
        event: Box<str>,
        /// `Subscription-State`: `active;expires=60`.
        state: Box<str>,
        /// A sipfrag that ends in CRLF.
        body: Box<str>,
    },
    /// Sends a REFER. A challenge is answered with the credentials that the dialog was begun with, or, where they began it,
    /// with those for whom they are.
    Refer {
        /// In which dialog.
        dialog: DialogId,
        /// Names the REFER.
        request: RequestId,
        /// `Refer-To`.
        refer_to: Box<str>,
        /// `Referred-By`, `X-...`.
        headers: Vec<Header>,
    },
    /// Sends a re-INVITE.
    Offer {
        /// In which dialog.
        dialog: DialogId,
        /// Names it.
        request: RequestId,
        /// Our offer.
        offer: Sdp,
    },
}
