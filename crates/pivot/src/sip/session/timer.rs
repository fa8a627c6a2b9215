//! What happens when nothing happens; and session timers (RFC 4028), which find out that a peer is gone.

use core::time::Duration;

use rsipstack::sip::{Headers, Response};
use tokio::time::Instant;

use super::Session;
use super::caller::number;
use crate::message::{RequestId, Sdp};
use crate::sip::text::{self, field};

/// What is to be done some time later.
pub(super) enum Timer {
    /// A cancelled INVITE has had no final response.
    Cancelled,
    /// A reliable provisional response is sent again.
    Provisional,
    /// It rings for long.
    Ringing,
    /// An offer that met one of theirs is made again.
    Offer(RequestId, Sdp, u8),
    /// No fork answers any more, and no 2xx to the INVITE comes again.
    Forks,
    /// We refresh the session.
    Refresh,
    /// They have not refreshed it.
    Expired,
}

/// What has been agreed.
#[derive(Clone, Copy)]
pub(super) struct SessionTimer {
    interval_s: u32,
    is_ours: bool,
}

impl Session {
    /// Does what is due.
    pub(super) async fn expire(&mut self) {
        let now = Instant::now();
        while let Some(at) = self.timers.iter().position(|(due, _)| *due <= now) {
            match self.timers.swap_remove(at).1 {
                Timer::Cancelled => self.cancelled_unheard().await,
                Timer::Provisional => self.provisional_again().await,
                Timer::Offer(request, offer, tries) => self.offer_again(request, offer, tries).await,
                Timer::Ringing => self.still_rings(),
                Timer::Forks => {
                    self.calling_was = None;
                    self.forget_forks();
                    self.linger = None;
                }
                Timer::Refresh => self.refresh(),
                Timer::Expired => self.end(408, "The session timer ran out").await,
            }
        }
    }

    /// Takes up what a 2xx has agreed. `is_uac`: it answered a request of ours.
    pub(super) fn start_session_timer(&mut self, headers: &Headers, is_uac: bool) {
        self.timers.retain(|(_, timer)| !matches!(timer, Timer::Refresh | Timer::Expired));
        self.session_timer = None;
        let Some(value) = text::value(headers, "Session-Expires") else { return };
        let Some(interval_s) = number(value).filter(|interval| *interval > 0) else { return };
        let parameters = value.split_once(';').map_or("", |(_, parameters)| parameters);
        let refresher_is_uac = text::parameter(parameters, "refresher").is_none_or(|role| role != "uas");
        let is_ours = refresher_is_uac == is_uac;
        self.session_timer = Some(SessionTimer { interval_s, is_ours });
        let interval = Duration::from_secs(interval_s.into());
        if is_ours {
            self.at(interval / 2, Timer::Refresh);
        }
        // RFC 4028 10: a little before, so that both do not end it at once.
        self.at(interval - (interval / 3).min(Duration::from_secs(32)), Timer::Expired);
    }

    /// Agrees to what a request wants, in the 2xx.
    pub(super) fn answer_session_timer(&mut self, request: &Headers, response: &mut Response) {
        let Some(value) = text::value(request, "Session-Expires") else { return };
        let Some(interval) = number(value) else { return };
        let parameters = value.split_once(';').map_or("", |(_, parameters)| parameters);
        let knows = text::has(request, "Supported", "timer");
        // Who does not know it does not refresh either (RFC 4028 9).
        let refresher = match text::parameter(parameters, "refresher") {
            _ if !knows => "uas",
            Some("uas") => "uas",
            _ => "uac",
        };
        response.headers.push(field("Session-Expires", &format!("{interval};refresher={refresher}")));
        if knows {
            response.headers.push(field("Require", "timer"));
        }
        let agreed = response.headers.clone();
        self.start_session_timer(&agreed, false);
    }

    /// Asks for what has been agreed already, or for what the configuration wants.
    pub(super) fn ask_for_session_timer(&self, headers: &mut Headers) {
        if let Some(timer) = self.session_timer {
            let refresher = if timer.is_ours { "uac" } else { "uas" };
            headers.push(field("Session-Expires", &format!("{};refresher={refresher}", timer.interval_s)));
        } else if let Some(interval) = self.inner.net.config.session_expires_s {
            headers.push(field("Session-Expires", &interval.to_string()));
        }
    }
}
