//! `offer` and `answer`: an SDP comes in, legs are opened or changed, the SDP goes out with the relay in it.

use core::sync::atomic::Ordering;
use std::sync::Arc;

use patchcord_ng::{Dict, Options, Value, reason};
use patchcord_sdp::Sdp;

use super::Ng;
use super::call::{said, unix_s, unix_us};
use super::codecs::Settings;
use super::describe::{Outcome, described, is_looped, rewritten};
use super::media::{Exchange, Phase};
use super::refuse::Refused;
use crate::call::Plan;
use crate::error::{ApiError, ErrorCode};

impl Ng {
    /// Obeys an offer or answer, as a whole or not at all.
    pub(super) async fn exchange(&self, phase: Phase, options: Options) -> Result<Dict, Refused> {
        let counts = &self.0.counts;
        let count = if phase == Phase::Offer { &counts.offers } else { &counts.answers };
        count.fetch_add(1, Ordering::Relaxed);
        let bytes = options.sdp.as_deref().ok_or(reason::NO_SDP)?;
        super::call::call_id(&options)?;
        let from_tag = said(options.from_tag.as_ref()).ok_or(reason::NO_FROM_TAG)?;
        let to_tag = said(options.to_tag.as_ref());
        if phase == Phase::Answer && to_tag.is_none() {
            return Err(reason::NO_TO_TAG.into());
        }
        let settings = Settings::read(&options.codec).map_err(Refused::Because)?.map(Arc::new);
        if options.flags.fragment && !bytes.starts_with(b"v=") {
            // RFC 8840: candidates that follow. A lite agent sends no checks and has no use for them.
            self.find(&options)?;
            return Ok(Dict::new().with("result", "ok"));
        }
        let sdp =
            Sdp::parse(bytes).map_err(|error| Refused::Known { reason: reason::BAD_SDP, detail: error.to_string() })?;
        if sdp.session().version != Some(0) {
            let detail = "it does not begin with v=0 (RFC 8866 5.1)".to_owned();
            return Err(Refused::Known { reason: reason::BAD_SDP, detail });
        }
        if is_looped(&sdp, &options) {
            return Ok(Dict::new().with("result", "ok").with("sdp", bytes.to_vec()));
        }
        let lines = described(&sdp, &options)?;
        for word in &options.unknown {
            tracing::debug!(call = options.call_id.as_deref(), word, "ng flag without a meaning here");
        }
        loop {
            let (call, is_new) = match phase {
                Phase::Offer => self.find_or_create(&options)?,
                Phase::Answer => (self.find(&options)?, false),
            };
            let gate = call.gate.lock().await;
            let mut told = None;
            let mut add = |plan: &mut Plan<'_>| {
                let mut session = call.session().clone();
                let branch = options.via_branch.as_deref();
                let parties = match (phase, to_tag) {
                    (Phase::Answer, Some(to)) => session.of_answer(from_tag, to, branch).map(|(a, b)| (b, a)),
                    _ => session.of_offer(from_tag, to_tag, branch, unix_s()),
                };
                let (from, to) =
                    parties.map_err(|bad| ApiError::new(ErrorCode::BadTags, Refused::from(bad).to_string()))?;
                let config = &self.0.config;
                let mut exchange = Exchange {
                    config,
                    options: &options,
                    settings: settings.as_ref(),
                    phase,
                    from,
                    to,
                    session: &mut session,
                    plan,
                };
                let lines = exchange.describe(&lines)?;
                session.note_recording(from, &options, config.relay_unread, plan)?;
                session.note_signal((from, to), unix_us());
                session.note_description(from, sdp.as_str(), options.label.as_deref());
                told = Some((session, lines, to));
                Ok(())
            };
            let result = self.0.control.run(&call, None, &mut add).await;
            match (result, told) {
                (Ok(_), Some((mut session, told, to))) => {
                    let fallback = self.0.control.any_address();
                    let outcome = Outcome { phase, session: &session, to, told: &told, fallback };
                    let mut text = rewritten(&sdp, &options, &self.0.config, &outcome);
                    if let Some(version) = session.version_of(to, &text, &sdp).filter(|_| options.replace.sdp_version) {
                        text = text.replacen(&version.was, &version.is, 1);
                    }
                    *call.session() = session;
                    return Ok(Dict::new().with("result", Value::word("ok")).with("sdp", text));
                }
                // It ended just now: the offer makes a new one.
                (Err(error), _) if error.code == ErrorCode::UnknownCall && phase == Phase::Offer => drop(gate),
                (Err(error), _) => {
                    drop(gate);
                    if is_new {
                        // Nobody has anything from it: it must not stay behind.
                        drop(self.0.control.delete_call(&call.name.name, None).await);
                    }
                    return Err(error.into());
                }
                (Ok(_), None) => unreachable!("what was planned has an outcome"),
            }
        }
    }
}
