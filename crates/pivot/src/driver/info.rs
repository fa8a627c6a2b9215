//! Keys that a telephone tells by INFO (RFC 6086): whoever hears the telephone is told them as if they had come beside its audio.

use patchcord_control::api::{Command, DtmfHowName, DtmfSend};

use super::task::Task;
use crate::call::PartyId;
use crate::call::sipfrag::status;
use crate::message::{Action, Header, RequestId};

/// What most that send keys so say of their duration, in milliseconds.
const DURATION_MS: u16 = 160;
/// A receiver needs 40 ms of a key and as much between two (ITU-T Q.24).
const PAUSE_MS: u16 = 40;
/// RFC 4733 has no default; 10 dB below what a tone may have is what telephones send.
const VOLUME_DBM0: i16 = -10;

/// The bodies that are read.
const ACCEPT: &str = "application/dtmf-relay, application/dtmf";

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    digit: char,
    duration_ms: u16,
}

impl Task {
    /// Answers an INFO.
    pub(super) async fn informed(&mut self, party: PartyId, request: RequestId, kind: Option<&str>, body: &str) {
        if body.is_empty() {
            // RFC 2976 2.2: an INFO without a body is for finding out whether the dialog is there.
            return self.shared.respond(request, status(200));
        }
        match key(kind.unwrap_or_default(), body) {
            Ok(key) => {
                // Whoever sends it cannot do anything about a listener that is told nothing.
                self.shared.respond(request, status(200));
                self.press(party, key).await;
            }
            Err(code) => {
                tracing::debug!(call = %self.name, kind, code, "an INFO that the pivot has no use for");
                let accept = Header { name: "Accept".into(), value: ACCEPT.into() };
                let headers = if code == 415 { vec![accept] } else { Vec::new() };
                self.shared.stack.act(Action::Respond { request, status: status(code), headers, sdp: None });
            }
        }
    }

    async fn press(&mut self, party: PartyId, Key { digit, duration_ms }: Key) {
        let send = |party: String| {
            Command::DtmfSend(DtmfSend {
                party,
                digits: digit.to_string(),
                duration_ms,
                pause_ms: PAUSE_MS,
                volume_dbm0: VOLUME_DBM0,
                how: DtmfHowName::Auto,
            })
        };
        let commands: Vec<_> = self.timeline.listeners(party).map(|name| send(name.to_string())).collect();
        if commands.is_empty() {
            return;
        }
        if let Err(error) = self.legs.execute(commands).await {
            tracing::info!(call = %self.name, %error, "a key told by INFO is lost");
        }
    }
}

/// What a body says, or the status code that refuses it.
fn key(kind: &str, body: &str) -> Result<Key, u16> {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let (digit, duration) = if kind.eq_ignore_ascii_case("application/dtmf-relay") {
        let value = |name: &str| {
            let of = |line: &str| {
                let (key, value) = line.split_once(['=', ':'])?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            };
            body.lines().find_map(of)
        };
        (value("Signal").ok_or(400_u16)?, value("Duration"))
    } else if kind.eq_ignore_ascii_case("application/dtmf") {
        (body.trim().to_owned(), None)
    } else {
        return Err(415);
    };
    let digit = match digit.to_ascii_uppercase().as_str() {
        // The numbers of the events (RFC 4733 3.2).
        "10" => '*',
        "11" => '#',
        text => {
            let mut chars = text.chars();
            let first = chars.next().filter(|first| matches!(first, '0'..='9' | '*' | '#' | 'A'..='D'));
            first.filter(|_| chars.next().is_none()).ok_or(400_u16)?
        }
    };
    let duration = duration.map_or(Some(DURATION_MS), |text| text.parse().ok()).ok_or(400_u16)?;
    Ok(Key { digit, duration_ms: duration.clamp(40, 5000) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_both_forms() {
        for (kind, body, read) in [
            ("application/dtmf-relay", "Signal=5\r\nDuration=240\r\n", Ok(('5', 240))),
            ("Application/DTMF-Relay;x=y", "Signal= *\nDuration= 100", Ok(('*', 100))),
            ("application/dtmf-relay", "Signal=11", Ok(('#', DURATION_MS))),
            ("application/dtmf-relay", "Signal=d\r\nDuration=1", Ok(('D', 40))),
            ("application/dtmf", "10", Ok(('*', DURATION_MS))),
            ("application/dtmf", " 7\r\n", Ok(('7', DURATION_MS))),
            ("application/dtmf", "77", Err(400)),
            ("application/dtmf-relay", "Duration=100", Err(400)),
            ("application/dtmf-relay", "Signal=é", Err(400)),
            ("application/dtmf-relay", "Signal=1\r\nDuration=99999999", Err(400)),
            ("text/plain", "1", Err(415)),
        ] {
            let read = read.map(|(digit, duration_ms)| Key { digit, duration_ms });
            assert_eq!(key(kind, body), read, "{kind} {body:?}");
        }
    }
}
