//! Whether two parties could be bridged as they are.

use std::sync::Arc;

use patchcord_relay::media::Codec;

use super::model::Leg;
use super::plan::{Draft, Plan};
use crate::api::{CheckResult, TwoParties, Verdict, rtpmap};
use crate::error::ApiError;

impl Plan<'_> {
    pub(super) fn check(&self, fields: &TwoParties) -> Result<Draft, ApiError> {
        self.two(&fields.a, &fields.b)?;
        Ok(Draft::Check(check(self.leg(&fields.a)?, self.leg(&fields.b)?)))
    }
}

/// A party may send any format of its list but sends the first as a rule (RFC 3264 6.1): that one decides.
fn check(a: &Leg, b: &Leg) -> CheckResult {
    if a.codecs.is_empty() || b.codecs.is_empty() {
        let reason = "a leg without a codec list passes every payload type unchanged".to_owned();
        return CheckResult { verdict: Verdict::Compatible, reinvite: Vec::new(), reason };
    }
    let takes = |leg: &Leg, codec: &Codec| leg.codecs.iter().any(|other| other.same_format(codec));
    let common: Vec<_> = audio(a).filter(|codec| takes(b, codec)).map(name).collect();
    if common.is_empty() {
        let list = |leg| audio(leg).map(rtpmap).collect::<Vec<_>>().join(", ");
        let reason = format!("no format in common: {} has {}; {} has {}", a.party, list(a), b.party, list(b));
        if [a, b].into_iter().all(|leg| audio(leg).any(is_transcodable)) {
            let reason = format!("{reason}; the relay transcodes");
            return CheckResult { verdict: Verdict::NeedsTranscoding, reinvite: Vec::new(), reason };
        }
        let reinvite = vec![Arc::clone(&a.party), Arc::clone(&b.party)];
        let reason = format!("{reason}, which the relay does not transcode; re-INVITE one of them");
        return CheckResult { verdict: Verdict::NeedsReinvite, reinvite, reason };
    }
    let misunderstood = |from: &Leg, to: &Leg| audio(from).next().filter(|codec| !takes(to, codec)).map(name);
    let mut reinvite = Vec::new();
    let mut reasons = Vec::new();
    for (from, to) in [(a, b), (b, a)] {
        if let Some(format) = misunderstood(from, to) {
            reinvite.push(Arc::clone(&from.party));
            reasons.push(format!("{} prefers {format}, which {} does not take", from.party, to.party));
        }
    }
    if reinvite.is_empty() {
        let reason = format!("formats in common: {}", common.join(", "));
        return CheckResult { verdict: Verdict::Compatible, reinvite, reason };
    }
    let reason = format!("{}; re-INVITE {} with {}", reasons.join("; "), reinvite.join(" and "), common.join(", "));
    CheckResult { verdict: Verdict::NeedsReinvite, reinvite, reason }
}

fn audio(leg: &Leg) -> impl Iterator<Item = &Codec> {
    leg.codecs.iter().filter(|codec| codec.carries_media())
}

/// Whether the relay decodes and encodes it.
pub(crate) fn is_transcodable(codec: &Codec) -> bool {
    patchcord_codec::Codec::of(&codec.encoding, codec.clock_rate, codec.channels, None).is_ok()
}

fn name(codec: &Codec) -> String {
    format!("{}/{}", codec.encoding, codec.clock_rate)
}
