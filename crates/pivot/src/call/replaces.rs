//! `Replaces` (RFC 3891): a dialog named from outside, and finding it.

use core::fmt;
use core::str::FromStr;
use std::collections::{HashMap, VecDeque};

use super::sipfrag::status;
use crate::message::Status;

/// No Call-ID and no tag is longer.
const LONGEST: usize = 256;

/// What a `Replaces` header field says, seen from whoever is to replace the dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// The dialog's Call-ID.
    pub call_id: Box<str>,
    /// The tag of whoever receives the INVITE: ours.
    pub to_tag: Box<str>,
    /// The tag of the other side: theirs.
    pub from_tag: Box<str>,
    /// Only a dialog that is not confirmed is meant.
    pub early_only: bool,
}

/// Why a text is no `Replaces`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplacesError {
    /// A Call-ID that cannot be one.
    #[error("Replaces begins with a Call-ID of 1 to {LONGEST} characters without spaces")]
    CallId,
    /// A tag is missing, there twice or empty.
    #[error("Replaces has exactly one to-tag and one from-tag")]
    Tags,
}

impl FromStr for Replaces {
    type Err = ReplacesError;

    fn from_str(text: &str) -> Result<Self, ReplacesError> {
        Self::read(text, "to-tag", "from-tag")
    }
}

impl Replaces {
    /// A dialog, with the names that our tag and theirs have.
    fn read(text: &str, ours: &str, theirs: &str) -> Result<Self, ReplacesError> {
        let mut parts = text.split(';').map(str::trim);
        let call_id = parts.next().filter(|id| is_word(id)).ok_or(ReplacesError::CallId)?;
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').map_or((part, ""), |(name, value)| (name.trim(), value.trim()));
            let tag = if name.eq_ignore_ascii_case(ours) {
                &mut to_tag
            } else if name.eq_ignore_ascii_case(theirs) {
                &mut from_tag
            } else {
                early_only |= name.eq_ignore_ascii_case("early-only");
                continue;
            };
            if !is_word(value) || tag.replace(value.into()).is_some() {
                return Err(ReplacesError::Tags);
            }
        }
        match (to_tag, from_tag) {
            (Some(to_tag), Some(from_tag)) => Ok(Self { call_id: call_id.into(), to_tag, from_tag, early_only }),
            _ => Err(ReplacesError::Tags),
        }
    }
}

fn is_word(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.chars().all(|char| char.is_ascii_graphic() && !",;\"".contains(char))
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};to-tag={};from-tag={}", self.call_id, self.to_tag, self.from_tag)?;
        if self.early_only { f.write_str(";early-only") } else { Ok(()) }
    }
}

/// How far a dialog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// A 2xx has been there.
    Yes,
    /// Not yet, and the INVITE was ours.
    EarlyOurs,
    /// Not yet, and the INVITE was theirs.
    EarlyTheirs,
}

/// Who asks for a dialog to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// An INVITE: of early dialogs only those of ours can be meant (RFC 3891 3).
    Invite,
    /// A REFER of the transferor, whose own dialog it is: one that it has just begun can be meant as well.
    Refer,
}

/// The dialogs that can be replaced. `K` names one for the driver: a call and a party.
#[derive(Debug)]
pub struct Dialogs<K> {
    /// By Call-ID: a forked one has several.
    known: HashMap<Box<str>, Vec<Dialog<K>>>,
    /// Those that are over, the oldest first.
    over: VecDeque<[Box<str>; 3]>,
    remembered: usize,
}

#[derive(Debug)]
struct Dialog<K> {
    our_tag: Box<str>,
    their_tag: Box<str>,
    confirmed: Confirmed,
    owner: K,
}

impl<K: Copy + PartialEq> Dialogs<K> {
    /// None so far. So many that are over are remembered.
    #[must_use]
    pub fn new(remembered: usize) -> Self {
        Self { known: HashMap::new(), over: VecDeque::new(), remembered }
    }

    /// There is a dialog, or it is confirmed or somebody else's by now.
    pub fn insert(&mut self, call_id: &str, our_tag: &str, their_tag: &str, confirmed: Confirmed, owner: K) {
        let dialogs = self.known.entry(call_id.into()).or_default();
        dialogs.retain(|dialog| *dialog.our_tag != *our_tag || *dialog.their_tag != *their_tag);
        dialogs.push(Dialog { our_tag: our_tag.into(), their_tag: their_tag.into(), confirmed, owner });
    }

    /// A dialog is over.
    pub fn remove(&mut self, call_id: &str, our_tag: &str, their_tag: &str) {
        let Some(dialogs) = self.known.get_mut(call_id) else { return };
        let before = dialogs.len();
        dialogs.retain(|dialog| *dialog.our_tag != *our_tag || *dialog.their_tag != *their_tag);
        if dialogs.len() == before {
            return;
        }
        if dialogs.is_empty() {
            self.known.remove(call_id);
        }
        self.over.push_back([call_id.into(), our_tag.into(), their_tag.into()]);
        while self.over.len() > self.remembered {
            self.over.pop_front();
        }
    }

    /// A dialog is somebody else's from now on.
    pub fn give(&mut self, call_id: &str, our_tag: &str, their_tag: &str, owner: K) {
        let dialogs = self.known.get_mut(call_id).into_iter().flatten();
        for dialog in dialogs.filter(|dialog| *dialog.our_tag == *our_tag && *dialog.their_tag == *their_tag) {
            dialog.owner = owner;
        }
    }

    /// Whose dialog a `Target-Dialog` (RFC 4538) names. From whose side its tags are seen is read differently by different senders: ours is
    /// random, so that it is found either way, and only the right one.
    ///
    /// # Errors
    /// 400 for one that cannot be read, 481 if there is none.
    pub fn find_target(&self, text: &str) -> Result<K, Status> {
        let bad = |_| Status { code: 400, phrase: "Bad Target-Dialog".into() };
        let target = Replaces::read(text, "local-tag", "remote-tag").map_err(bad)?;
        let Replaces { call_id, to_tag, from_tag, .. } = target.clone();
        let turned = Replaces { call_id, to_tag: from_tag, from_tag: to_tag, early_only: false };
        let target = Replaces { early_only: false, ..target };
        let found = [target, turned].into_iter().find_map(|target| self.find(&target, Asker::Refer).ok());
        found.ok_or_else(|| status(481))
    }

    /// Whose dialog is meant.
    ///
    /// # Errors
    /// What the request is to be refused with (RFC 3891 3): 481 if there is none, 603 if it is over, 486 if only an early one was wanted.
    pub fn find(&self, replaces: &Replaces, asker: Asker) -> Result<K, Status> {
        let is_it = |our: &str, their: &str| *our == *replaces.to_tag && *their == *replaces.from_tag;
        let known = self.known.get(&replaces.call_id).map_or(&[][..], Vec::as_slice);
        let Some(dialog) = known.iter().find(|dialog| is_it(&dialog.our_tag, &dialog.their_tag)) else {
            let was = self.over.iter().any(|[id, our, their]| *id == replaces.call_id && is_it(our, their));
            return Err(status(if was { 603 } else { 481 }));
        };
        match (dialog.confirmed, asker) {
            (Confirmed::Yes, _) if replaces.early_only => Err(status(486)),
            (Confirmed::EarlyTheirs, Asker::Invite) => Err(status(481)),
            _ => Ok(dialog.owner),
        }
    }

    /// What an INVITE with these `Replaces` header fields wants to replace; nothing if it has none.
    ///
    /// # Errors
    /// As [`Dialogs::find`], and 400 for more than one and for one that cannot be read.
    pub fn find_for_invite(&self, replaces: &[Box<str>]) -> Result<Option<K>, Status> {
        match replaces {
            [] => Ok(None),
            [one] => {
                let bad = |error: ReplacesError| Status { code: 400, phrase: error.to_string().into() };
                self.find(&one.parse().map_err(bad)?, Asker::Invite).map(Some)
            }
            _ => Err(Status { code: 400, phrase: "More than one Replaces".into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dialogs() -> Dialogs<u8> {
        let mut dialogs = Dialogs::new(2);
        dialogs.insert("a@host", "ours", "theirs", Confirmed::Yes, 1);
        dialogs.insert("b", "ours", "theirs", Confirmed::EarlyOurs, 2);
        dialogs.insert("c", "ours", "theirs", Confirmed::EarlyTheirs, 3);
        dialogs
    }

    fn invite(dialogs: &Dialogs<u8>, replaces: &[&str]) -> Result<Option<u8>, u16> {
        let replaces: Vec<Box<str>> = replaces.iter().map(|&text| text.into()).collect();
        dialogs.find_for_invite(&replaces).map_err(|status| status.code)
    }

    #[test]
    fn tags_are_ours_and_theirs_and_not_the_other_way_round() {
        let dialogs = dialogs();
        assert_eq!(invite(&dialogs, &[]), Ok(None));
        assert_eq!(invite(&dialogs, &["a@host;to-tag=ours;from-tag=theirs"]), Ok(Some(1)));
        assert_eq!(invite(&dialogs, &["a@host ; FROM-TAG = theirs ; x=y; to-tag=ours"]), Ok(Some(1)));
        assert_eq!(invite(&dialogs, &["a@host;to-tag=theirs;from-tag=ours"]), Err(481));
        assert_eq!(invite(&dialogs, &["a@host;to-tag=OURS;from-tag=theirs"]), Err(481));
        assert_eq!(invite(&dialogs, &["x;to-tag=ours;from-tag=theirs"]), Err(481));
    }

    #[test]
    fn early_and_ended_dialogs_and_bad_fields_are_refused_as_rfc_3891_says() {
        let mut dialogs = dialogs();
        assert_eq!(invite(&dialogs, &["a@host;to-tag=ours;from-tag=theirs;early-only"]), Err(486));
        assert_eq!(invite(&dialogs, &["b;to-tag=ours;from-tag=theirs;early-only"]), Ok(Some(2)));
        assert_eq!(invite(&dialogs, &["c;to-tag=ours;from-tag=theirs"]), Err(481));
        let early = "c;to-tag=ours;from-tag=theirs".parse().expect("Replaces");
        assert_eq!(dialogs.find(&early, Asker::Refer), Ok(3));
        assert_eq!(
            invite(&dialogs, &["a@host;to-tag=ours;from-tag=theirs", "b;to-tag=ours;from-tag=theirs"]),
            Err(400)
        );
        for bad in
            ["", ";to-tag=a;from-tag=b", "a;to-tag=b", "a;to-tag=b;to-tag=b;from-tag=c", "a b;to-tag=a;from-tag=b"]
        {
            assert_eq!(invite(&dialogs, &[bad]), Err(400), "{bad}");
        }
        dialogs.remove("a@host", "ours", "theirs");
        assert_eq!(invite(&dialogs, &["a@host;to-tag=ours;from-tag=theirs"]), Err(603));
        dialogs.insert("b", "ours", "theirs", Confirmed::Yes, 9);
        assert_eq!(invite(&dialogs, &["b;to-tag=ours;from-tag=theirs"]), Ok(Some(9)));
    }

    #[test]
    fn a_target_dialog_is_found_from_either_side_and_one_that_was_given_is_the_others() {
        let mut dialogs = dialogs();
        dialogs.give("a@host", "ours", "theirs", 7);
        dialogs.give("a@host", "theirs", "ours", 8);
        let find = |text: &str| dialogs.find_target(text).map_err(|status| status.code);
        assert_eq!(find("a@host;local-tag=ours;remote-tag=theirs"), Ok(7));
        assert_eq!(find("a@host;remote-tag=ours;local-tag=theirs"), Ok(7));
        assert_eq!(find("c;remote-tag=ours;local-tag=theirs"), Ok(3));
        assert_eq!(find("a@host;local-tag=ours;remote-tag=ours"), Err(481));
        assert_eq!(find("a@host;to-tag=ours;from-tag=theirs"), Err(400));
        assert_eq!(invite(&dialogs, &["a@host;to-tag=ours;from-tag=theirs"]), Ok(Some(7)));
    }

    #[test]
    fn only_so_many_that_are_over_are_remembered() {
        let mut dialogs = Dialogs::new(2);
        for id in ["1", "2", "3"] {
            dialogs.insert(id, "o", "t", Confirmed::Yes, 0);
            dialogs.remove(id, "o", "t");
            dialogs.remove(id, "o", "t");
        }
        assert_eq!(dialogs.over.len(), 2);
        assert!(dialogs.known.is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_was_read_reads_the_same_again(
            text in prop_oneof![any::<String>(), "[a-c@]{0,4}( ?; ?(to-tag|from-tag|early-only|x)(=[a-c]{0,3})?){0,4}"]
        ) {
            if let Ok(replaces) = text.parse::<Replaces>() {
                prop_assert_eq!(replaces.to_string().parse(), Ok(replaces));
            }
        }
    }
}
