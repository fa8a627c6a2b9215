//! Between SDP and the call: what its m= lines say of the parties' media, and what they have to say to the other side.

use core::net::{IpAddr, SocketAddr};

use patchcord_ng::{Options, reason};
use patchcord_relay::media::{Codec, EncodingName, Sending};
use patchcord_rtp::PayloadType;
use patchcord_sdp::{Edit, Ice, Media, MediaEdit, Relay, RtcpAttribute, Sdp};

use super::NgConfig;
use super::dtls;
use super::ice;
use super::keying::{self, Keying, ToldKeys};
use super::media::{Described, Phase, Told};
use super::refuse::Refused;
use super::sdes::DescribedSdes;
use super::session::{PartyId, Session};
use crate::api::Direction;

/// The attribute by which relays know what another relay has handled already.
const LOOP_MARK: &str = "rtpengine";

/// What the m= lines say, as far as relaying goes.
pub(super) fn described(sdp: &Sdp, options: &Options) -> Result<Vec<Described>, Refused> {
    if sdp.media().is_empty() {
        return Err(Refused::Known { reason: reason::INCOMPLETE_SDP, detail: "there is no m= line".to_owned() });
    }
    if options.flags.sip_source_address && !options.flags.trust_address && options.received_from.is_none() {
        let detail = "the flag \"SIP source address\" needs `received-from`".to_owned();
        return Err(Refused::Known { reason: reason::INCOMPLETE_SDP, detail });
    }
    if let Some(wanted) = keying::wanted(options) {
        let change = sdp
            .media()
            .iter()
            .find(|media| media.is_rtp() && media.port != 0 && !Keying::are_translated(&media.protocol, wanted));
        if let Some(media) = change {
            let from = &media.protocol;
            let why = format!("transport-protocol {wanted}: this relay does not translate between {from} and {wanted}");
            return Err(Refused::Because(why));
        }
    }
    sdp.media().iter().map(|media| line(sdp, media, options)).collect()
}

fn line(sdp: &Sdp, media: &Media, options: &Options) -> Result<Described, Refused> {
    let address = media.address.ok_or(reason::INCOMPLETE_SDP);
    let enabled = media.port != 0;
    let (remote, remote_rtcp) = match address {
        Ok(address) => remotes(media, address, options),
        Err(_) if !enabled => (None, None),
        Err(reason) => return Err(reason.into()),
    };
    let codec = |codec: &patchcord_sdp::Codec| {
        Some(Codec {
            payload_type: PayloadType::new(codec.payload_type)?,
            encoding: EncodingName::new(&codec.encoding)?,
            clock_rate: codec.clock_rate,
            channels: codec.channels,
            fmtp: codec.fmtp.as_deref().map(Into::into),
            sending: Sending::default(),
        })
    };
    let usable = |codec: &Codec| {
        codec.clock_rate > 0 && codec.channels > 0 && codec.encoding.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
    };
    Ok(Described {
        kind: media.kind.clone(),
        protocol: media.protocol.clone(),
        enabled,
        remote,
        remote_rtcp,
        direction: match media.direction {
            patchcord_sdp::Direction::SendRecv => Direction::SendRecv,
            patchcord_sdp::Direction::SendOnly => Direction::SendOnly,
            patchcord_sdp::Direction::RecvOnly => Direction::RecvOnly,
            patchcord_sdp::Direction::Inactive => Direction::Inactive,
        },
        mux: media.rtcp_mux,
        mid: media.mid.clone(),
        ptime_ms: media.ptime_ms,
        maxptime_ms: media.maxptime_ms,
        ice: ice::described(sdp, media),
        sdes: DescribedSdes::read(media),
        dtls: dtls::described(sdp, media),
        formats: if media.is_rtp() { media.formats.clone() } else { Vec::new() },
        codecs: media.codecs.iter().filter_map(codec).filter(usable).collect(),
    })
}

/// Where the party receives RTP and RTCP; nowhere while it says so by the zero address (RFC 2543 B.5).
fn remotes(media: &Media, address: IpAddr, options: &Options) -> (Option<SocketAddr>, Option<SocketAddr>) {
    if media.port == 0 || address.is_unspecified() {
        return (None, None);
    }
    // A phone behind NAT names an address that nobody can reach; the proxy knows where the message came from.
    let instead = options.received_from.filter(|_| options.flags.sip_source_address && !options.flags.trust_address);
    let address = instead.unwrap_or(address);
    let rtp = SocketAddr::new(address, media.port);
    // Browsers name port 9 of the zero address, whatever candidates they have (RFC 8840 4.1.1).
    let named = media.rtcp.filter(|rtcp| rtcp.port != 0 && !rtcp.address.is_some_and(|ip| ip.is_unspecified()));
    let rtcp = match named {
        Some(rtcp) => Some(SocketAddr::new(instead.or(rtcp.address).unwrap_or(address), rtcp.port)),
        _ if media.rtcp_mux => Some(rtp),
        _ => None,
    };
    (Some(rtp), rtcp)
}

/// What has become of an exchange, as far as the SDP for the other side shows it.
pub(super) struct Outcome<'a> {
    pub(super) phase: Phase,
    pub(super) session: &'a Session,
    /// Who gets the SDP.
    pub(super) to: PartyId,
    /// One entry a line.
    pub(super) told: &'a [Told],
    /// An address of ours, for lines that have none.
    pub(super) fallback: Option<IpAddr>,
}

/// The SDP as the other side gets it.
pub(super) fn rewritten(sdp: &Sdp, options: &Options, config: &NgConfig, outcome: &Outcome<'_>) -> String {
    let Outcome { phase, session, to, told, fallback } = *outcome;
    let mut edit = Edit::default();
    let here = told.iter().find_map(|told| match told {
        Told::Here { rtp, .. } => Some(rtp.ip()),
        Told::Disabled => None,
    });
    // Where all media is disabled, the address means nothing, but the sender's is nobody's business.
    let here = options.media_address.or(here).or(fallback);
    edit.origin = here.filter(|_| options.replace.origin);
    edit.connection = here.filter(|_| options.replace.session_connection);
    if config.drop_bundle {
        edit.without.push("group");
    }
    if options.flags.loop_protect {
        edit.attributes.push(format!("{LOOP_MARK}:patchcord"));
    }
    if told.iter().any(|told| matches!(told, Told::Here { ice: Some(_), .. })) {
        // RFC 8839 5.3: it sends no checks, and leaves the choice to the other side.
        edit.attributes.push("ice-lite".to_owned());
    }
    let own_keys = |told: &Told| matches!(told, Told::Disabled | Told::Here { keys: ToldKeys::Own { .. }, .. });
    if told.iter().all(own_keys) {
        // What the session says of its author's keys is not ours to say; each section says it for itself.
        edit.without.extend(["setup", "fingerprint"]);
    }
    let other = session.party(to);
    edit.media = sdp
        .media()
        .iter()
        .zip(told)
        .enumerate()
        .map(|(index, (media, told))| match told {
            Told::Disabled => MediaEdit::Disable { address: here },
            Told::Here { rtp, rtcp, mux, mux_required, ice, protocol, keys, formats } => {
                let (mux, mux_required) = (*mux, *mux_required);
                let address = options.media_address.unwrap_or(rtp.ip());
                let is_rtp = media.is_rtp();
                let theirs = other.and_then(|party| party.media.get(index));
                let ptime_ms = theirs.map_or(media.ptime_ms, |theirs| theirs.told_ptime(phase, media.ptime_ms));
                let ptime_ms = ptime_ms.filter(|_| is_rtp);
                // An answer says what its offer said, where it says nothing itself.
                let offered = theirs.filter(|_| phase == Phase::Answer);
                let rtcp_port = if mux && (mux_required || phase == Phase::Answer) { rtp.port() } else { rtcp.port() };
                let attribute = is_rtp && !options.flags.no_rtcp_attribute;
                let full = options.flags.full_rtcp_attribute;
                // With ICE it says only that candidates will be found, or follow (RFC 8840 4.1.1).
                let has_ice = media.ice_ufrag.is_some() && media.ice_pwd.is_some();
                let is_zero = media.address.is_some_and(|address| address.is_unspecified()) && !has_ice;
                MediaEdit::Relay(Box::new(Relay {
                    address: Some(address).filter(|_| !is_zero || options.replace.zero_address),
                    port: rtp.port(),
                    protocol: Some(protocol.clone()).filter(|_| is_rtp),
                    formats_without: offered.map_or_else(Vec::new, |offered| not_offered(media, offered)),
                    formats: formats.as_deref().map(<[_]>::to_vec),
                    mid: offered.and_then(|offered| offered.mid.clone()).or_else(|| given_mid(other, phase, index)),
                    direction: direction(media, options, is_zero),
                    rtcp: attribute
                        .then_some(RtcpAttribute { port: rtcp_port, address: Some(address).filter(|_| full) }),
                    rtcp_mux: mux && is_rtp,
                    ptime_ms,
                    without_maxptime: ptime_ms > media.maxptime_ms && media.maxptime_ms.is_some(),
                    keys: keys.edit(),
                    ice: ice.as_deref().map_or(Ice::Remove, |ice| Ice::Own {
                        ufrag: ice.ufrag.clone(),
                        pwd: ice.pwd.0.clone(),
                        trickle: ice.trickles,
                        candidates: ice.candidates.clone(),
                        end_of_candidates: ice.ends,
                    }),
                }))
            }
        })
        .collect();
    sdp.rewrite(&edit)
}

/// What the other side is told of who sends. The zero address means that its author receives nothing (RFC 2543 B.5).
fn direction(media: &Media, options: &Options, is_zero: bool) -> Option<patchcord_sdp::Direction> {
    use patchcord_sdp::Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let flags = &options.flags;
    if flags.original_sendrecv {
        return None;
    }
    Some(match (flags.inactive, is_zero, media.direction) {
        (true, ..) | (_, true, RecvOnly | Inactive) => Inactive,
        (_, true, SendRecv | SendOnly) => SendOnly,
        (.., direction) => direction,
    })
}

/// RFC 3264 6.1: an answer lists formats of its offer. What it has beyond these is left out, unless nothing would be left.
fn not_offered(media: &Media, offered: &super::session::Media) -> Vec<String> {
    let known = |codec: &patchcord_sdp::Codec| {
        offered.codecs.iter().any(|other| {
            other.encoding.eq_ignore_ascii_case(&codec.encoding)
                && (other.clock_rate, other.channels) == (codec.clock_rate, codec.channels)
        })
    };
    if offered.codecs.is_empty() || !media.codecs.iter().any(known) {
        return Vec::new();
    }
    media.codecs.iter().filter(|codec| !known(codec)).map(|codec| codec.payload_type.to_string()).collect()
}

/// `a=mid` of our own, where that is asked for in this offer or was in an earlier one.
fn given_mid(other: Option<&super::session::Party>, phase: Phase, index: usize) -> Option<String> {
    other.filter(|_| phase == Phase::Offer)?.media.get(index)?.given_mid.clone()
}

/// Whether another relay has handled the SDP already, and it is to be left alone then.
pub(super) fn is_looped(sdp: &Sdp, options: &Options) -> bool {
    options.flags.loop_protect && sdp.session().attribute_value(LOOP_MARK).is_some()
}
