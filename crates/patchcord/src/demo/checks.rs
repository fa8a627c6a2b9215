//! The judgement, from what the parties received.

use std::collections::BTreeSet;

use patchcord_codec::analysis::{Heard, order_heard, timeline};
use patchcord_codec::{Audio, TELEPHONE_RATE};
use serde::Serialize;

use super::references::{self, MUSIC, RINGBACK};
use super::stage::{AGENT, Played, PlayedParty, TARGET, TRANSFEREE};
use crate::client::model::Receipt;
use crate::evidence::{Evidence, Switch, ts_step};
use crate::failure::Failure;

/// One packet.
const PACKET_US: u64 = 20_000;
/// One packet's timestamp units.
const FRAME_TS_UNITS: i64 = 160;
/// What the machine's scheduler may add to a gap between the relay's decision and the receiver's socket.
const GAP_SCHEDULING_US: u64 = 5_000;
/// By how much two clocks' views of a gap may differ on a machine under load.
const SCHEDULING_US: u64 = 10_000;
/// By how much a timestamp step may differ from the time between two arrivals: a frame, and what the scheduler may add.
const SLACK_TS_UNITS: i64 = FRAME_TS_UNITS + SCHEDULING_US as i64 * 8 / 1000;
/// Packets of the target that the transferee hears at least.
const TAIL_PACKETS: usize = 150;

/// Shorter stretches of audio are not taken for a source: 0.3 s.
const STRETCH_SAMPLES_MIN: usize = 2400;

/// One question and its answer.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) ok: bool,
    pub(super) detail: String,
}

/// All checks of both calls.
pub(super) fn all(good: &Played, failing: &Played) -> Result<Vec<Check>, Failure> {
    let references = references::all()?;
    let mut checks = Vec::new();
    transferred(&mut checks, good, &references)?;
    rolled_back(&mut checks, failing, &references)?;
    checks.extend(secured(&[good, failing]));
    Ok(checks)
}

/// Where the parties have keys: nothing that they received was anything but SRTP under these, and nothing that they sent was refused.
pub(super) fn secured(calls: &[&Played]) -> Option<Check> {
    let legs = || calls.iter().flat_map(|call| &call.state.legs);
    let suites: BTreeSet<_> =
        legs().filter_map(|leg| Some(format!("{} {}", leg.party, leg.srtp.as_ref()?.send.as_ref()?.suite))).collect();
    if suites.is_empty() {
        return None;
    }
    let refused: u64 = calls.iter().flat_map(|call| &call.parties).map(|party| party.refused).sum();
    let by_relay: u64 = legs()
        .flat_map(|leg| &leg.drops)
        .filter(|(reason, _)| reason.starts_with("srtp_"))
        .map(|(_, count)| count)
        .sum();
    let suites = Vec::from_iter(suites).join(", ");
    Some(Check {
        name: "every packet on the wire is SRTP under its party's key, and authentic".to_owned(),
        ok: refused == 0 && by_relay == 0 && legs().all(|leg| leg.srtp.is_some()),
        detail: format!("{suites}; {refused} refused by parties, {by_relay} by the relay"),
    })
}

fn transferred(checks: &mut Vec<Check>, call: &Played, references: &[(&str, Audio)]) -> Result<(), Failure> {
    let mut check = |name: &str, ok: bool, detail: String| checks.push(Check { name: name.to_owned(), ok, detail });
    let transferee = call.party(TRANSFEREE)?;
    let evidence = Evidence::of(&transferee.recording, &call.sent());
    let switches = evidence.switches();

    let ssrcs: Vec<String> = evidence.ssrcs.iter().map(|ssrc| format!("{ssrc:#010x}")).collect();
    check("the transferee sees one SSRC", ssrcs.len() == 1, ssrcs.join(", "));

    let order = evidence.order();
    check(
        "the transferee's packets are the agent's, the relay's music and ringing tone, the target's",
        order == [AGENT, "relay", "relay", TARGET],
        order.join(", "),
    );
    check(
        "the transferee's sequence numbers are continuous",
        evidence.missing_unexplained == 0 && !evidence.pieces.is_empty(),
        format!(
            "{} packets; {} numbers absent because the agent's own network had lost them, {} for another reason",
            evidence.packets().count(),
            evidence.missing_before_relay,
            evidence.missing_unexplained
        ),
    );
    timestamps(&mut check, &evidence, &switches);
    check(
        "each switch has the marker, the next sequence number, and one writer",
        switches.len() == 3 && switches.iter().all(|switch| switch.seq_step == 1 && !switch.interleaved),
        format!("{} markers; sequence steps {}", switches.len(), list(&switches, |switch| switch.seq_step)),
    );
    let gap_us = switches.last().map(|switch| switch.gap_us);
    check(
        "the switch to the target takes at most one packet time",
        gap_us.is_some_and(|gap_us| gap_us <= PACKET_US + GAP_SCHEDULING_US),
        format!(
            "{} us between the last packet of the ringing tone and the target's first; {PACKET_US} us and {GAP_SCHEDULING_US} us \
             for the machine's scheduler are allowed",
            gap_us.unwrap_or(0)
        ),
    );
    let tail = evidence.pieces.last().map_or(0, |piece| piece.packets.len());
    check(
        "the transferee and the target talk for three seconds at least",
        tail >= TAIL_PACKETS,
        format!("{tail} packets of the target"),
    );
    audio(&mut check, transferee, &[AGENT, MUSIC, RINGBACK, TARGET], references)?;
    audio(&mut check, call.party(TARGET)?, &[TRANSFEREE], references)?;
    for name in [TRANSFEREE, AGENT, TARGET] {
        nothing_lost(&mut check, call, call.party(name)?);
    }
    receipts(&mut check, call, &switches);
    Ok(())
}

fn rolled_back(checks: &mut Vec<Check>, call: &Played, references: &[(&str, Audio)]) -> Result<(), Failure> {
    let mut check = |name: &str, ok: bool, detail: String| {
        checks.push(Check { name: format!("rolled back: {name}"), ok, detail });
    };
    let swap = call.state.cut_overs.iter().find(|cut_over| cut_over.id == "swap");
    let state = swap.map_or("unknown", |swap| swap.state.as_str());
    check("the swap was cancelled", ["cancelled", "rolled-back"].contains(&state), format!("its state is {state}"));
    let target = call.party(TARGET)?;
    check(
        "the target that never spoke was sent nothing",
        target.recording.is_empty() && target.sent.packets.is_empty(),
        format!("{} datagrams", target.recording.len()),
    );
    for (name, peer) in [(TRANSFEREE, AGENT), (AGENT, TRANSFEREE)] {
        let party = call.party(name)?;
        let evidence = Evidence::of(&party.recording, &call.sent());
        let whole = evidence.order() == [peer];
        let untouched = evidence.pieces.iter().all(|piece| piece.passage.is_some_and(|passage| passage.untouched));
        check(
            &format!("the {name} heard the {peer} all the time, relayed bit for bit"),
            whole && untouched && evidence.missing_unexplained == 0,
            format!(
                "{} packets in {} piece, SSRC, sequence numbers and timestamps {}",
                evidence.packets().count(),
                evidence.pieces.len(),
                if untouched { "as sent" } else { "changed" }
            ),
        );
        nothing_lost(&mut check, call, party);
    }
    audio(&mut check, call.party(TRANSFEREE)?, &[AGENT], references)
}

/// What can be heard in the WAV file, in which order.
fn audio(
    check: &mut impl FnMut(&str, bool, String),
    party: &PlayedParty,
    expected: &[&str],
    references: &[(&str, Audio)],
) -> Result<(), Failure> {
    let audio = party.audio()?;
    let references: Vec<(&str, &[i16])> =
        references.iter().map(|(name, audio)| (*name, audio.samples.as_slice())).collect();
    let mut stretches = timeline(&audio.samples, TELEPHONE_RATE, &references);
    // Where one source ends and the next begins, a window holds a little of both and may look like a third.
    stretches.retain(|stretch| stretch.end - stretch.start >= STRETCH_SAMPLES_MIN);
    let heard = order_heard(&stretches);
    let seconds = |samples: usize| samples as f64 / f64::from(TELEPHONE_RATE);
    let course: Vec<String> = stretches
        .iter()
        .filter_map(|stretch| match stretch.heard {
            Heard::Reference(name) => {
                Some(format!("{name} {:.1}-{:.1} s", seconds(stretch.start), seconds(stretch.end)))
            }
            Heard::Silence | Heard::Unknown => None,
        })
        .collect();
    let name = format!("the {}'s WAV has the audio of {}", party.name, expected.join(", then "));
    check(&name, heard == expected, course.join(", "));
    Ok(())
}

/// Every packet that reached the relay while its sender was heard arrived.
fn nothing_lost(check: &mut impl FnMut(&str, bool, String), call: &Played, party: &PlayedParty) {
    let evidence = Evidence::of(&party.recording, &call.sent());
    let (sent, lost) = evidence.passed();
    let foreign: u64 = evidence.pieces.iter().filter_map(|piece| piece.passage).map(|passage| passage.foreign).sum();
    check(
        &format!("no packet was lost on the way to the {}", party.name),
        lost == 0 && foreign == 0 && sent > 0,
        format!("{lost} of {sent} packets lost, {foreign} from elsewhere"),
    );
}

/// Every packet has a later timestamp than the one before: within a piece by a frame for each sequence number (the relay may
/// skip frames of its own audio where the machine held it up), at a switch by the time that passed, one frame at least.
fn timestamps(check: &mut impl FnMut(&str, bool, String), evidence: &Evidence, switches: &[Switch]) {
    let mut wrong = Vec::new();
    for piece in &evidence.pieces {
        for pair in piece.packets.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            // A number that is missing takes its frame with it.
            let frames = (after.extended - before.extended) * FRAME_TS_UNITS;
            let step = ts_step(before, after);
            let elapsed = after.at_ns.saturating_sub(before.at_ns) as i64 * 8 / 1_000_000;
            let skipped = piece.from.is_none() && step > frames && step <= elapsed + SLACK_TS_UNITS;
            if step != frames && !skipped {
                let whose = piece.from.as_deref().unwrap_or("relay");
                wrong.push(format!(
                    "{step} instead of {frames} within the {whose}'s packets, {elapsed} units after the last"
                ));
            }
        }
    }
    let ok = wrong.is_empty() && !evidence.pieces.is_empty() && switches.iter().all(plausible);
    let wrong = wrong.first().map_or_else(String::new, |first| format!("; {} wrong steps: {first}", wrong.len()));
    check(
        "the transferee's timestamps rise as time does",
        ok,
        format!(
            "steps at the switches {} after {} us{wrong}",
            list(switches, |switch| switch.ts_step),
            list(switches, |switch| switch.gap_us as i64)
        ),
    );
}

fn plausible(switch: &Switch) -> bool {
    // 8 timestamp units are a millisecond of 8 kHz audio.
    let elapsed = switch.gap_us as i64 * 8 / 1000;
    switch.ts_step >= FRAME_TS_UNITS && (switch.ts_step - elapsed).abs() <= SLACK_TS_UNITS
}

/// The relay's own word agrees with what was received.
fn receipts(check: &mut impl FnMut(&str, bool, String), call: &Played, switches: &[Switch]) {
    let mut receipts: Vec<&Receipt> = call.state.cut_overs.iter().flat_map(|cut_over| &cut_over.receipts).collect();
    receipts.retain(|receipt| receipt.party == TRANSFEREE && receipt.seq_step.is_some());
    receipts.sort_by_key(|receipt| receipt.at_us);
    let agrees = |receipt: &Receipt, switch: &Switch| {
        receipt.seq_step == u64::try_from(switch.seq_step).ok()
            && receipt.ts_step == u64::try_from(switch.ts_step).ok()
            && receipt.gap_us.is_some_and(|gap_us| gap_us.abs_diff(switch.gap_us) <= SCHEDULING_US)
    };
    let all = receipts.len() == switches.len()
        && receipts.iter().zip(switches).all(|(receipt, switch)| agrees(receipt, switch));
    let gaps: Vec<String> =
        receipts.iter().map(|r| r.gap_us.map_or_else(|| "-".to_owned(), |g| g.to_string())).collect();
    check(
        "the relay's receipts agree with what the transferee received",
        all,
        format!("gaps by receipt {} us, as received {} us", gaps.join(", "), list(switches, |s| s.gap_us as i64)),
    );
}

fn list(switches: &[Switch], value: impl Fn(&Switch) -> i64) -> String {
    switches.iter().map(|switch| value(switch).to_string()).collect::<Vec<_>>().join(", ")
}
