//! The judgement of the warm transfer, from what the parties received.

use patchcord_codec::{Audio, TELEPHONE_RATE};
use patchcord_lab::endpoint::Recording;
use patchcord_rtp::TelephoneEvent;

use super::script::{self, EVENTS, EXTENSION, Step, StepName};
use super::voices::Presence;
use crate::client::model::{Leg, Receipt};
use crate::demo::checks::{Check, secured};
use crate::demo::references::{self, MUSIC, RINGBACK};
use crate::demo::stage::{AGENT, Played, PlayedParty, TARGET, TRANSFEREE};
use crate::evidence::{Evidence, Packet, ts_step};
use crate::failure::Failure;

/// By which part timestamps may rise faster or slower than time does: over the whole call, on a machine under load.
const RATE_ERROR_MAX: f64 = 0.02;
/// Timestamp units a second of Opus (RFC 7587 4.1).
const OPUS_CLOCK_RATE: u32 = 48_000;

/// Whom each party hears in each step.
const HEARS: [(&str, [&[&str]; 6]); 3] = [
    (TRANSFEREE, [&[AGENT], &[MUSIC], &[MUSIC], &[TARGET], &[AGENT, TARGET], &[TARGET]]),
    (AGENT, [&[TRANSFEREE], &[], &[TARGET], &[TRANSFEREE, TARGET], &[TRANSFEREE, TARGET], &[]]),
    (TARGET, [&[], &[], &[AGENT], &[TRANSFEREE, AGENT], &[TRANSFEREE, AGENT], &[TRANSFEREE]]),
];

/// All checks of the call.
pub(super) fn all(call: &Played, steps: &[Step]) -> Result<Vec<Check>, Failure> {
    let mut references = references::all()?;
    // Nobody rings here, and each name takes its time to be looked for.
    references.retain(|(name, _)| *name != RINGBACK);
    let mut checks = Vec::new();
    let mut check = |name: String, ok: bool, detail: String| checks.push(Check { name, ok, detail });
    for (name, hears) in HEARS {
        let party = call.party(name)?;
        let evidence = Evidence::of(&party.recording, &call.sent());
        one_stream(&mut check, party, &evidence);
        timestamps(&mut check, party, &evidence);
        voices(&mut check, party, steps, &hears, &references)?;
    }
    let transferee = Evidence::of(&call.party(TRANSFEREE)?.recording, &call.sent());
    order(&mut check, &transferee);
    receipts(&mut check, call, &transferee);
    keys(&mut check, call.party(TARGET)?);
    for (name, peer) in [(TRANSFEREE, TARGET), (TARGET, TRANSFEREE)] {
        dropped(&mut check, call, name, peer)?;
    }
    checks.extend(secured(&[call]));
    Ok(checks)
}

/// One SSRC, whoever is heard, and no sequence number is missing or reordered.
fn one_stream(check: &mut impl FnMut(String, bool, String), party: &PlayedParty, evidence: &Evidence) {
    let ssrcs: Vec<String> = evidence.ssrcs.iter().map(|ssrc| format!("{ssrc:#010x}")).collect();
    let missing = evidence.missing_before_relay + evidence.missing_unexplained;
    check(
        format!("the {} sees one SSRC all the way, and continuous sequence numbers", party.name),
        ssrcs.len() == 1 && missing == 0,
        format!("{}; {} packets, {missing} numbers absent", ssrcs.join(", "), evidence.packets().count()),
    );
}

/// Each packet of audio has a later timestamp than the one before, by whole frames as long as the source is the same, and all
/// together rise as time does.
fn timestamps(check: &mut impl FnMut(String, bool, String), party: &PlayedParty, evidence: &Evidence) {
    let clock_rate = if party.opus.is_some() { OPUS_CLOCK_RATE } else { TELEPHONE_RATE };
    let frame = i64::from(clock_rate / 50);
    // All packets of a key press have the timestamp of its beginning (RFC 4733 2.2).
    let audio = |packet: &&Packet| packet.header.payload_type != EVENTS;
    let whole_frames = |before: &Packet, after: &Packet| {
        let step = ts_step(before, after);
        step % frame == 0 && step >= frame * (after.extended - before.extended)
    };
    let mut wrong = 0;
    for piece in &evidence.pieces {
        let pairs = piece.packets.windows(2).filter(|pair| pair.iter().all(|packet| audio(&packet)));
        wrong += pairs.filter(|pair| !whole_frames(&pair[0], &pair[1])).count();
    }
    let packets: Vec<&Packet> = evidence.packets().filter(audio).collect();
    wrong += packets.windows(2).filter(|pair| ts_step(pair[0], pair[1]) <= 0).count();
    let (rise, time) = match packets[..] {
        [first, .., last] => {
            let rise =
                f64::from(last.header.timestamp.0.wrapping_sub(first.header.timestamp.0)) / f64::from(clock_rate);
            (rise, last.at_ns.saturating_sub(first.at_ns) as f64 / 1e9)
        }
        _ => (0.0, 0.0),
    };
    check(
        format!("the {}'s timestamps rise as time does", party.name),
        wrong == 0 && time > 0.0 && (rise / time - 1.0).abs() <= RATE_ERROR_MAX,
        format!("by {rise:.3} s in {time:.3} s, {wrong} wrong steps"),
    );
}

/// Who can be heard in the WAV file, step by step, and that nobody else can.
fn voices(
    check: &mut impl FnMut(String, bool, String),
    party: &PlayedParty,
    steps: &[Step],
    hears: &[&[&str]],
    references: &[(&str, Audio)],
) -> Result<(), Failure> {
    let mut ok = steps.iter().map(|step| step.name).eq(StepName::ALL);
    let mut course = Vec::new();
    let mut others: f64 = 0.0;
    for (step, expected) in steps.iter().zip(hears) {
        let audio = party.audio_of(&within(party, step))?;
        let mut heard = Vec::new();
        for (name, reference) in references {
            let presence = Presence::of(&audio.samples, &reference.samples);
            if expected.contains(name) {
                ok &= presence.is_heard();
                heard.push(format!("{name} {:.2}", presence.typical));
            } else {
                ok &= presence.is_absent();
                others = others.max(presence.most);
            }
        }
        // Whoever hears silence is sent nothing.
        ok &= expected.is_empty() == audio.samples.is_empty();
        let heard = if expected.is_empty() { "-".to_owned() } else { heard.join(" + ") };
        course.push(format!("{} {heard}", step.name.id()));
    }
    let names: Vec<String> = hears.iter().filter(|names| !names.is_empty()).map(|names| names.join(" + ")).collect();
    check(
        format!("the {}'s WAV has {}, and nobody else", party.name, names.join(", then ")),
        ok,
        format!("correlation: {}; others {others:.2} at most", course.join(", ")),
    );
    Ok(())
}

/// What a party received in a step.
fn within(party: &PlayedParty, step: &Step) -> Recording {
    let mut part = Recording::new(&party.name, party.recording.len());
    let times = step.from_ns..step.until_ns;
    party
        .recording
        .datagrams()
        .filter(|received| times.contains(&received.at_ns))
        .for_each(|received| part.push(received));
    part
}

/// What the relay made of the agent's Opus, and the music; the target's own packets, so that there is nothing in them of the agent,
/// who whispers; the conference; the target's packets again.
fn order(check: &mut impl FnMut(String, bool, String), evidence: &Evidence) {
    let order = evidence.order();
    let foreign: u64 = evidence.pieces.iter().filter_map(|piece| piece.passage).map(|passage| passage.foreign).sum();
    let (sent, lost) = evidence.passed();
    check(
        "the transferee hears the target bit for bit during the whisper, and again when the agent has dropped"
            .to_owned(),
        order == ["relay", "relay", TARGET, "relay", TARGET] && foreign == 0 && lost == 0,
        format!("{}; of {sent} packets of the target {lost} lost, {foreign} from elsewhere", order.join(", ")),
    );
}

/// The relay's own word agrees with what the transferee received: each switch takes the next number.
fn receipts(check: &mut impl FnMut(String, bool, String), call: &Played, evidence: &Evidence) {
    let mut receipts: Vec<&Receipt> = call.state.cut_overs.iter().flat_map(|cut_over| &cut_over.receipts).collect();
    receipts.retain(|receipt| receipt.party == TRANSFEREE && receipt.seq_step.is_some());
    receipts.sort_by_key(|receipt| receipt.at_us);
    let switches = evidence.switches();
    let agree = receipts.iter().zip(&switches).all(|(receipt, switch)| {
        (receipt.seq_step, switch.seq_step, switch.interleaved) == (Some(1), 1, false)
            && receipt.ts_step == u64::try_from(switch.ts_step).ok()
    });
    let gaps = |list: Vec<String>| list.join(", ");
    check(
        "each switch of the transferee has the marker, the next sequence number, and a receipt that says the same"
            .to_owned(),
        receipts.len() == switches.len() && switches.len() == 4 && agree,
        format!(
            "{} switches; gaps by receipt {} us, as received {} us",
            switches.len(),
            gaps(
                receipts
                    .iter()
                    .map(|receipt| receipt.gap_us.map_or_else(|| "-".to_owned(), |gap| gap.to_string()))
                    .collect()
            ),
            gaps(switches.iter().map(|switch| switch.gap_us.to_string()).collect()),
        ),
    );
}

/// The extension arrived as telephone-events, each key with its end.
fn keys(check: &mut impl FnMut(String, bool, String), target: &PlayedParty) {
    let pressed = pressed(&target.recording);
    check(format!("the target received the keys {EXTENSION} (RFC 4733)"), pressed == EXTENSION, format!("{pressed:?}"));
}

/// The keys whose ends were received, in order: the end comes three times, with the timestamp of the key's beginning.
fn pressed(recording: &Recording) -> String {
    let mut keys = String::new();
    let mut last = None;
    for (header, received) in recording.rtp().filter(|(header, _)| header.payload_type == EVENTS) {
        let Some(event) = TelephoneEvent::read(received.payload()).filter(|event| event.end) else { continue };
        if last.replace(header.timestamp) != Some(header.timestamp) {
            keys.extend(event.key());
        }
    }
    keys
}

/// When the agent has dropped, nothing is mixed any more, and nothing transcoded.
fn dropped(check: &mut impl FnMut(String, bool, String), call: &Played, name: &str, peer: &str) -> Result<(), Failure> {
    let party = call.party(name)?;
    let evidence = Evidence::of(&party.recording, &call.sent());
    let as_sent = evidence.pieces.last().and_then(|piece| {
        let passage = piece.passage.filter(|_| piece.from.as_deref() == Some(peer))?;
        (passage.foreign == 0 && passage.lost == 0).then_some(piece.packets.len())
    });
    let leg = call.state.legs.iter().find(|leg| leg.party == name);
    let by_state = |leg: &Leg| leg.hears == peer && !leg.transcoded;
    let state =
        leg.map_or_else(|| "no leg".to_owned(), |leg| format!("hears {}, transcoded: {}", leg.hears, leg.transcoded));
    check(
        format!("after the agent's drop the {name} gets the {peer}'s packets as they are, not mixed"),
        as_sent.is_some_and(|packets| packets as u64 >= script::DROPPED_PACKETS / 2) && leg.is_some_and(by_state),
        format!("{} packets bit for bit; by the relay's state it {state}", as_sent.unwrap_or(0)),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use patchcord_lab::endpoint::Received;
    use patchcord_rtp::{RTP_HEADER_LEN, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

    use super::*;

    #[test]
    fn a_key_is_pressed_once_however_often_its_end_is_told_and_not_without_an_end() {
        let mut recording = Recording::new("target", 100);
        // (timestamp, event, end): 4, its end twice, 4 again, 2 whose end is missing, #.
        let events = [(0, 4, false), (0, 4, true), (0, 4, true), (900, 4, true), (1800, 2, false), (2700, 11, true)];
        for (sequence, (timestamp, event, end)) in (0..).zip(events) {
            let header = RtpHeader {
                marker: false,
                payload_type: EVENTS,
                sequence: SequenceNumber(sequence),
                timestamp: RtpTimestamp(timestamp),
                ssrc: Ssrc(1),
            };
            let mut bytes = vec![0; RTP_HEADER_LEN];
            header.build(&mut bytes);
            let mut payload = [0; TelephoneEvent::LEN];
            TelephoneEvent { event, end, volume: 8, duration: 800 }.write(&mut payload);
            bytes.extend_from_slice(&payload);
            recording.push(Received { at_ns: 0, from: ([127, 0, 0, 1], 1).into(), bytes: &bytes });
        }
        assert_eq!(pressed(&recording), "44#");
    }
}
