//! Connectivity checks (RFC 8445 7.3): answered from where they arrived to where they came from.
//!
//! Who cannot prove to be the party is never sent more bytes than it has sent: its address may be another's.

use core::net::SocketAddr;

use patchcord_stun::{BINDING, Class, Key, Message, MessageWriter, StunError, is_stun};

use crate::datagram::{Datagram, Hop, Verdict};
use crate::event::Event;
use crate::ids::Component;
use crate::leg::ice::Check;
use crate::outbox::Seal;
use crate::shard::Shard;
use crate::verdict::DropReason;

/// Room for an answer: header, ERROR-CODE with words, UNKNOWN-ATTRIBUTES, MESSAGE-INTEGRITY and FINGERPRINT.
const ANSWER_LEN_MAX: usize = 128;

/// An error as RFC 8489 14.8 has it.
#[derive(Clone, Copy, Debug)]
struct Refused {
    code: u16,
    reason: &'static str,
}

const BAD_REQUEST: Refused = Refused { code: 400, reason: "Bad Request" };
const UNAUTHORIZED: Refused = Refused { code: 401, reason: "Unauthenticated" };
const UNKNOWN_ATTRIBUTE: Refused = Refused { code: 420, reason: "Unknown Attribute" };
const ROLE_CONFLICT: Refused = Refused { code: 487, reason: "Role Conflict" };

impl Shard {
    /// What becomes of a datagram that begins as STUN does. `None`: the leg has no ICE, or it is relayed unread and this is
    /// something else that begins so.
    #[cold]
    pub(super) fn answer_check(&mut self, datagram: &Datagram<'_>) -> Option<Verdict> {
        let at = datagram.port.slot() as usize;
        let is_opaque = self.legs.ingress[at].is_opaque();
        let ice = self.legs.cold[at].ice.as_mut()?;
        if is_opaque && !is_stun(datagram.packet()) {
            return None;
        }
        let Ok(message) = Message::parse(datagram.packet()) else {
            return Some(Verdict::Dropped(DropReason::Malformed));
        };
        let check = ice.judge(&message);
        ice.count(check);
        Some(match check {
            Check::Unexpected => Verdict::Dropped(DropReason::UnexpectedProtocol),
            Check::KeepAlive => Verdict::Consumed,
            // Not refused in words, or its sender would give up what is right as soon as its answer has come.
            Check::NotThePeer => Verdict::Dropped(DropReason::IceUnauthorized),
            Check::Incomplete => self.turn_away(datagram, &message, BAD_REQUEST),
            Check::Unauthorized => self.turn_away(datagram, &message, UNAUTHORIZED),
            Check::UnknownAttributes => self.refuse(datagram, &message, UNKNOWN_ATTRIBUTE),
            Check::RoleConflict => self.refuse(datagram, &message, ROLE_CONFLICT),
            Check::Valid { nominates, is_former } => {
                let verdict = self.confirm(datagram, &message, is_former);
                if !is_former {
                    self.believe(datagram, nominates);
                }
                verdict
            }
        })
    }

    /// Success: the party learns how its address looks from here.
    fn confirm(&mut self, datagram: &Datagram<'_>, message: &Message<'_>, is_former: bool) -> Verdict {
        let Some(ice) = &self.legs.cold[datagram.port.slot() as usize].ice else { return Verdict::Consumed };
        let key = ice.former_key().filter(|_| is_former).unwrap_or_else(|| ice.key());
        let hop = Hop { port: datagram.port, to: datagram.from };
        let sent = self
            .outbox
            .push(hop, ANSWER_LEN_MAX, Seal::Unsealed, |room| success(room, message, hop.to, key).unwrap_or(0));
        if sent { Verdict::Consumed } else { Verdict::Dropped(DropReason::OutboxFull) }
    }

    /// What a right check means for the source of the leg.
    fn believe(&mut self, datagram: &Datagram<'_>, nominates: bool) {
        let (slot, component, from) = (datagram.port.slot(), datagram.port.component(), datagram.from);
        let cold = &mut self.legs.cold[slot as usize];
        let Some(ice) = &mut cold.ice else { return };
        let is_first = ice.note_valid(component, from);
        if !nominates {
            if is_first && component == Component::Rtp && cold.latch.reach(from) {
                self.legs.refresh_flags(slot);
            }
            return;
        }
        ice.nominate(component, from);
        if component == Component::Rtp && cold.latch.nominate(from) {
            let leg = cold.id;
            self.legs.refresh_flags(slot);
            self.outbox.event(Event::Latched { leg, source: from });
        }
    }

    /// An error for the party, which has proved to be it.
    fn refuse(&mut self, datagram: &Datagram<'_>, message: &Message<'_>, refused: Refused) -> Verdict {
        let Some(ice) = &self.legs.cold[datagram.port.slot() as usize].ice else { return Verdict::Consumed };
        let key = if message.has_integrity_by(ice.key()) { Some(ice.key()) } else { ice.former_key() };
        let hop = Hop { port: datagram.port, to: datagram.from };
        let sent = self
            .outbox
            .push(hop, ANSWER_LEN_MAX, Seal::Unsealed, |room| error(room, message, refused, key).unwrap_or(0));
        if sent { Verdict::Consumed } else { Verdict::Dropped(DropReason::OutboxFull) }
    }

    /// An error for somebody, if there is one that is not longer than the request.
    fn turn_away(&mut self, datagram: &Datagram<'_>, message: &Message<'_>, refused: Refused) -> Verdict {
        let hop = Hop { port: datagram.port, to: datagram.from };
        self.outbox.push(hop, message.len().min(ANSWER_LEN_MAX), Seal::Unsealed, |room| {
            let briefly = Refused { reason: "", ..refused };
            error(room, message, refused, None).or_else(|_| error(room, message, briefly, None)).unwrap_or(0)
        });
        Verdict::Dropped(DropReason::IceUnauthorized)
    }
}

/// Writes a success response.
fn success(room: &mut [u8], message: &Message<'_>, from: SocketAddr, key: &Key) -> Result<usize, StunError> {
    let mut writer = MessageWriter::new(room, Class::Success, BINDING, message.transaction())?;
    writer.xor_mapped_address(from)?;
    writer.integrity(key)?;
    writer.fingerprint()?;
    Ok(writer.finish())
}

/// Writes an error response.
fn error(room: &mut [u8], message: &Message<'_>, refused: Refused, key: Option<&Key>) -> Result<usize, StunError> {
    let mut writer = MessageWriter::new(room, Class::Error, BINDING, message.transaction())?;
    writer.error_code(refused.code, refused.reason)?;
    if refused.code == UNKNOWN_ATTRIBUTE.code {
        writer.unknown_attributes(message.unknown_attributes())?;
    }
    if let Some(key) = key {
        writer.integrity(key)?;
    }
    writer.fingerprint()?;
    Ok(writer.finish())
}
