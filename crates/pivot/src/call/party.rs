//! One party of a call.

use core::time::Duration;
use std::sync::Arc;

use super::route::TargetKind;
use super::trunk::Trunk;
use crate::message::{Address, Reason};

/// How far a party's dialog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartyState {
    /// It calls, and has no final response.
    Inviting,
    /// It called and was answered, and its ACK is awaited: no BYE before that (RFC 3261 15).
    Answered,
    /// It is called.
    Dialling,
    /// It was called and that was given up.
    Cancelling,
    /// It talks, or could.
    Up,
    /// Nothing more of it.
    Over,
}

#[derive(Clone, Debug)]
pub(super) struct Party {
    pub(super) name: Arc<str>,
    pub(super) address: Address,
    pub(super) trunk: Arc<Trunk>,
    /// It belongs to no trunk: who may send requests in its dialog is the stack's matter alone.
    pub(super) is_direct: bool,
    pub(super) state: PartyState,
    /// Whether its `Allow` has REFER.
    pub(super) takes_refer: Option<bool>,
    /// So many REFERs it has sent.
    pub(super) refers: u32,
    /// It was sent a REFER, so that NOTIFYs may come.
    pub(super) was_referred: bool,
    /// It is to be ended as soon as what is awaited before its BYE is there.
    pub(super) end: Option<Option<Reason>>,
    /// It has been replaced, and may hang up by itself for a while.
    pub(super) is_leaving: bool,
    /// For a target: as asked for, and what kind.
    pub(super) asked: Option<(Box<str>, TargetKind)>,
    pub(super) dialled: Duration,
    pub(super) rings_since: Option<Duration>,
    pub(super) early_since: Option<Duration>,
}

impl Party {
    pub(super) fn new(name: Arc<str>, address: Address, trunk: Arc<Trunk>, state: PartyState, now: Duration) -> Self {
        Self {
            name,
            address,
            trunk,
            is_direct: false,
            state,
            takes_refer: None,
            refers: 0,
            was_referred: false,
            end: None,
            is_leaving: false,
            asked: None,
            dialled: now,
            rings_since: None,
            early_since: None,
        }
    }

    /// It has been answered, and nobody has decided to end it.
    pub(super) const fn is_there(&self) -> bool {
        matches!(self.state, PartyState::Up | PartyState::Answered) && self.end.is_none()
    }

    pub(super) fn takes(&mut self, allow: Option<&[Box<str>]>) {
        self.takes_refer = allow.map(|methods| methods.iter().any(|method| method.eq_ignore_ascii_case("REFER")));
    }
}

/// How a party stands, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyView {
    /// Its name, which is its leg's name in the relay.
    pub name: Arc<str>,
    /// Who it is.
    pub address: Address,
    /// How far its dialog is.
    pub state: PartyState,
    /// It has been replaced or is being ended.
    pub is_leaving: bool,
    /// Whom it is connected with.
    pub peer: Option<super::words::PartyId>,
}
