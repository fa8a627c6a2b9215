//! The subscription that a REFER makes (RFC 3515 2.4.4): which NOTIFYs go out, and when.
//!
//! One NOTIFY is on its way at a time, because two could overtake each other on UDP. What happens meanwhile waits, and only the latest of
//! it is told.

use super::sipfrag::{self, status};
use super::words::{OwnId, PartyId};
use crate::message::{DialogId, Status};

/// How long a subscription is said to last. It ends with the transfer, whose timers end it before.
const EXPIRES_S: u32 = 300;

/// A NOTIFY that is to go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// `Event`.
    pub event: Box<str>,
    /// `Subscription-State`.
    pub state: Box<str>,
    /// The sipfrag.
    pub body: Box<str>,
}

/// How a party that sent a REFER is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    party: PartyId,
    /// The dialog that a REFER outside of the party's has begun.
    dialog: Option<DialogId>,
    event: Box<str>,
    /// The highest code that went out: it only grows.
    told: u16,
    /// What is to be told next; 100 goes out before it.
    next: Option<Status>,
    on_its_way: Option<OwnId>,
    is_over: bool,
    was_refused: bool,
}

impl Subscription {
    /// A subscription that has to begin with 100. `cseq` is the REFER's; the first of a dialog needs no name (RFC 3515 2.4.6).
    #[must_use]
    pub fn new(party: PartyId, cseq: u32, is_first: bool) -> Self {
        let event = if is_first { "refer".into() } else { format!("refer;id={cseq}").into() };
        Self { party, dialog: None, event, told: 0, next: None, on_its_way: None, is_over: false, was_refused: false }
    }

    /// A subscription in a dialog of its own, by a REFER outside of the party's.
    #[must_use]
    pub fn of_its_own(party: PartyId, dialog: DialogId) -> Self {
        Self { dialog: Some(dialog), ..Self::new(party, 0, true) }
    }

    /// Whether its NOTIFYs go in the dialog of this party.
    #[must_use]
    pub fn is_in_dialog_of(&self, party: PartyId) -> bool {
        self.party == party && self.dialog.is_none()
    }

    /// Its own dialog, if it has one: that goes on when the party's is over.
    #[must_use]
    pub const fn dialog(&self) -> Option<DialogId> {
        self.dialog
    }

    /// It is another call's from now on: of a party and by a request with these names there. Says what became of which.
    pub fn moved(&mut self, party: PartyId, own: impl FnOnce() -> OwnId) -> Option<(OwnId, OwnId)> {
        self.party = party;
        let was = self.on_its_way?;
        let is = own();
        self.on_its_way = Some(is);
        Some((was, is))
    }

    /// Who is told.
    #[must_use]
    pub const fn party(&self) -> PartyId {
        self.party
    }

    /// Nothing more is told, and nothing is on its way.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over && self.on_its_way.is_none()
    }

    /// Whether the party would have none of it.
    #[must_use]
    pub const fn was_refused(&self) -> bool {
        self.was_refused
    }

    /// How the transfer stands. A final status is the last one; what does not go beyond what was told is left out.
    pub fn report(&mut self, status: Status) {
        let latest = self.next.as_ref().map_or(self.told.max(100), |next| next.code);
        if !self.is_over && status.code > latest && latest < 200 {
            self.next = Some(status);
        }
    }

    /// The NOTIFY that is due, if one is and none is on its way.
    pub fn due(&mut self, own: impl FnOnce() -> OwnId) -> Option<(OwnId, Notify)> {
        if self.is_over || self.on_its_way.is_some() {
            return None;
        }
        let status = if self.told == 0 { status(100) } else { self.next.take()? };
        let is_final = status.code >= 200;
        let id = own();
        (self.told, self.on_its_way, self.is_over) = (status.code, Some(id), is_final);
        let state =
            if is_final { "terminated;reason=noresource".into() } else { format!("active;expires={EXPIRES_S}").into() };
        Some((id, Notify { event: self.event.clone(), state, body: sipfrag::write(&status) }))
    }

    /// A NOTIFY has been answered. Whatever is no 2xx ends the subscription (RFC 6665 4.1.3), and that is all that it does.
    /// Says whether it was one of this subscription.
    pub fn answered(&mut self, id: OwnId, code: u16) -> bool {
        if self.on_its_way != Some(id) {
            return false;
        }
        self.on_its_way = None;
        if !(200..300).contains(&code) {
            (self.is_over, self.was_refused, self.next) = (true, true, None);
        }
        true
    }

    /// The dialog is over: nobody is told any more.
    pub fn end(&mut self) {
        (self.is_over, self.on_its_way, self.next) = (true, None, None);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(notify: &Notify) -> u16 {
        sipfrag::read(&notify.body).expect("a status line").code
    }

    #[test]
    fn one_is_on_its_way_at_a_time_and_the_final_one_is_the_last() {
        let mut subscription = Subscription::new(PartyId(1), 7, true);
        let (first, notify) = subscription.due(|| OwnId(1)).expect("100 at once");
        assert_eq!(
            (&*notify.event, &*notify.state, &*notify.body),
            ("refer", "active;expires=300", "SIP/2.0 100 Trying\r\n")
        );
        subscription.report(status(180));
        subscription.report(status(183));
        assert_eq!(subscription.due(|| OwnId(2)), None);
        assert!(subscription.answered(first, 200) && !subscription.answered(first, 200));
        let (second, notify) = subscription.due(|| OwnId(2)).expect("the latest");
        assert_eq!(code(&notify), 183);
        subscription.report(status(180));
        subscription.report(status(486));
        subscription.report(status(200));
        assert!(subscription.answered(second, 200));
        let (last, notify) = subscription.due(|| OwnId(3)).expect("the final one");
        assert_eq!((&*notify.state, code(&notify)), ("terminated;reason=noresource", 486));
        assert!(!subscription.is_over(), "it is not answered yet");
        subscription.report(status(603));
        assert!(subscription.answered(last, 200) && subscription.is_over() && !subscription.was_refused());
        assert_eq!(subscription.due(|| OwnId(4)), None);
    }

    #[test]
    fn later_refers_of_a_dialog_are_named_and_a_refused_notify_is_the_last() {
        let mut subscription = Subscription::new(PartyId(1), 93809823, false);
        let (id, notify) = subscription.due(|| OwnId(1)).expect("100");
        assert_eq!(&*notify.event, "refer;id=93809823");
        subscription.report(status(200));
        assert!(subscription.answered(id, 481));
        assert!(subscription.is_over() && subscription.was_refused());
        assert_eq!(subscription.due(|| OwnId(2)), None);
    }

    proptest! {
        #[test]
        fn codes_begin_with_100_grow_and_end_once(steps in prop::collection::vec((0..3u8, 100..700u16), 0..40)) {
            let mut subscription = Subscription::new(PartyId(0), 1, true);
            let (mut told, mut ids, mut refused) = (Vec::new(), 0, false);
            for (step, code_of) in steps {
                match step {
                    0 => subscription.report(status(code_of)),
                    1 => refused |= subscription.answered(OwnId(ids), if code_of % 7 == 0 { 481 } else { 200 }) && code_of % 7 == 0,
                    _ => {}
                }
                if let Some((_, notify)) = subscription.due(|| { ids += 1; OwnId(ids) }) {
                    prop_assert!(!refused);
                    prop_assert_eq!(notify.state.starts_with("terminated"), code(&notify) >= 200);
                    told.push(code(&notify));
                }
            }
            prop_assert!(told.first().is_none_or(|&first| first == 100));
            prop_assert!(told.is_sorted() && told.iter().filter(|&&code| code >= 200).count() <= 1);
        }
    }
}
