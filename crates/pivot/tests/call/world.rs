//! The driver's side of a call: dialogs, requests, subscriptions and timers, each with its rules.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use patchcord_pivot::call::billing::Direction;
use patchcord_pivot::call::plan::Timing;
use patchcord_pivot::call::record::{CallRecord, TransferRecord, TransferState};
use patchcord_pivot::call::replaces::Replaces;
use patchcord_pivot::call::route::Via;
use patchcord_pivot::call::sipfrag::{self, status};
use patchcord_pivot::call::trunk::{ReferMode, Trunk};
use patchcord_pivot::call::uri::{Scheme, Uri};
use patchcord_pivot::call::words::{Dial, Question};
use patchcord_pivot::call::{
    Act, Call, Command, CommandError, Input, MediaInput, OwnId, PartyId, Plan, TimerId, TransferId,
};
use patchcord_pivot::message::{
    Address, DialogId, Header, Incoming, Origin, Refer, Rejection, RequestId, Status, Transport,
};

use crate::ears::{Ears, Hears};

pub(crate) const CALLER: PartyId = PartyId(0);
pub(crate) const AGENT: PartyId = PartyId(1);

/// Of all worlds, as calls become one.
static NEXT_DIALOG: AtomicU64 = AtomicU64::new(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialog {
    Inviting,
    Dialled,
    Cancelled,
    Answered,
    Up,
    Over,
}

pub(crate) struct World {
    pub(crate) call: Call,
    pub(crate) now: Duration,
    pub(crate) dialogs: BTreeMap<PartyId, Dialog>,
    pub(crate) dials: BTreeMap<PartyId, Dial>,
    pub(crate) timers: BTreeMap<TimerId, Duration>,
    pub(crate) ears: Ears,
    /// Requests of theirs: the code that answered them.
    pub(crate) requests: BTreeMap<RequestId, Option<Status>>,
    pub(crate) headers: BTreeMap<RequestId, Vec<Header>>,
    /// NOTIFYs that are not answered.
    pub(crate) notifies: BTreeMap<OwnId, (PartyId, Box<str>)>,
    /// What each subscription was told.
    pub(crate) told: BTreeMap<(PartyId, Box<str>), Vec<u16>>,
    refused: BTreeSet<(PartyId, Box<str>)>,
    /// REFERs of ours that are not answered.
    pub(crate) refers: BTreeMap<OwnId, (PartyId, Box<str>)>,
    pub(crate) asked: Option<(TransferId, Box<Question>)>,
    pub(crate) to_resolve: Option<(TransferId, Replaces)>,
    pub(crate) transfers: BTreeMap<TransferId, TransferRecord>,
    pub(crate) record: Option<CallRecord>,
    /// Parties whose BYE no longer waits for an answer.
    forced: BTreeSet<PartyId>,
    pub(crate) is_over: bool,
    /// Since [`World::forget`].
    pub(crate) acts: Vec<Act>,
    next_request: u64,
}

/// Whether a subscription is in a dialog of its own.
fn is_own(event: &str) -> bool {
    event.contains('@')
}

pub(crate) fn address(uri: &str) -> Address {
    Address { display: "".into(), uri: uri.into() }
}

pub(crate) fn carrier() -> Trunk {
    let mut trunk = Trunk::new("carrier", "carrier.example");
    trunk.foreign_domains = ["desk.example".into()].into();
    trunk.ourselves = ["pivot.example".into()].into();
    trunk.replaces = true;
    trunk
}

pub(crate) fn incoming() -> Incoming {
    Incoming {
        request_uri: "sip:+15550100@pivot.example".into(),
        from: address("sip:+15557777@carrier.example"),
        to: address("sip:+15550100@pivot.example"),
        call_id: "a".into(),
        from_tag: "t".into(),
        to_tag: "o".into(),
        origin: origin(),
        user: None,
        asserted: Vec::new(),
        replaces: Vec::new(),
        referred_by: None,
        allow: None,
        supported: Vec::new(),
        extra: Vec::new(),
        offer: None,
    }
}

fn origin() -> Origin {
    Origin { address: ([192, 0, 2, 1], 5060).into(), transport: Transport::Udp }
}

pub(crate) fn plan(mode: ReferMode) -> Plan {
    let agent = address("sip:agent@platform.example");
    Plan {
        caller: Arc::new(Trunk { refer: mode, ..carrier() }),
        callee: Arc::new(Trunk {
            name: "platform".into(),
            own_domains: ["platform.example".into()].into(),
            refer: mode,
            ..carrier()
        }),
        numbers: Arc::new(carrier()),
        callee_name: "agent".into(),
        dial: Dial {
            via: Via::Trunk("platform".into()),
            request_uri: agent.uri.clone(),
            to: agent,
            from: address("sip:+15557777@carrier.example"),
            asserted: None,
            headers: Vec::new(),
        },
        direction: Direction::Origination,
        last_resort: None,
        timing: Timing::default(),
    }
}

pub(crate) fn refer(refer_to: &[&str]) -> Refer {
    Refer {
        cseq: 7,
        refer_to: refer_to.iter().map(|&field| field.into()).collect(),
        referred_by: Some("<sip:agent@platform.example>".into()),
        refer_sub: None,
        target_dialog: None,
        from: address("sip:agent@platform.example"),
        origin: origin(),
        subscription: None,
        extra: Vec::new(),
    }
}

pub(crate) fn rejection(code: u16) -> Rejection {
    Rejection { status: status(code), is_local: false, reason: None, by: None, warning: None, retry_after_s: None }
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut acts = Vec::new();
        let call = Call::new(Duration::ZERO, plan, &incoming(), &mut acts);
        let mut world = Self {
            call,
            now: Duration::ZERO,
            dialogs: [(CALLER, Dialog::Inviting)].into(),
            dials: BTreeMap::new(),
            timers: BTreeMap::new(),
            ears: Ears::default(),
            requests: BTreeMap::new(),
            headers: BTreeMap::new(),
            notifies: BTreeMap::new(),
            told: BTreeMap::new(),
            refused: BTreeSet::new(),
            refers: BTreeMap::new(),
            asked: None,
            to_resolve: None,
            transfers: BTreeMap::new(),
            record: None,
            forced: BTreeSet::new(),
            is_over: false,
            acts: Vec::new(),
            next_request: 0,
        };
        world.ears.add(CALLER);
        world.take(acts);
        world
    }

    /// A call whose caller and agent talk.
    pub(crate) fn talking(plan: Plan) -> Self {
        let mut world = Self::new(plan);
        world.accept(AGENT);
        world.input(Input::Acknowledged(CALLER));
        world.forget();
        world
    }

    pub(crate) fn forget(&mut self) {
        self.acts.clear();
    }

    pub(crate) fn dialog(&self, party: PartyId) -> Dialog {
        self.dialogs.get(&party).copied().unwrap_or(Dialog::Over)
    }

    /// Something happens; dialogs and requests are as they are then, whatever the call makes of it.
    pub(crate) fn input(&mut self, input: Input) {
        let (next, party) = match &input {
            Input::Accepted { party, .. } if matches!(self.dialog(*party), Dialog::Dialled | Dialog::Cancelled) => {
                (Dialog::Up, *party)
            }
            Input::Rejected(party, _) if matches!(self.dialog(*party), Dialog::Dialled | Dialog::Cancelled) => {
                (Dialog::Over, *party)
            }
            Input::Cancelled(party, _) if self.dialog(*party) == Dialog::Inviting => (Dialog::Over, *party),
            Input::Ended(party, _) => (Dialog::Over, *party),
            Input::Acknowledged(party) if self.dialog(*party) == Dialog::Answered => (Dialog::Up, *party),
            Input::Timer(TimerId::Settle(party)) if self.timers.contains_key(&TimerId::Settle(*party)) => {
                self.forced.insert(*party);
                let dialog = self.dialog(*party);
                (if dialog == Dialog::Cancelled { Dialog::Over } else { dialog }, *party)
            }
            _ => (self.dialog(PartyId(u32::MAX)), PartyId(u32::MAX)),
        };
        if let Some(dialog) = self.dialogs.get_mut(&party) {
            *dialog = next;
        }
        match &input {
            Input::Refer { request, .. } | Input::Notify { request, .. } => {
                self.requests.insert(*request, None);
            }
            Input::Answered { request, status } => {
                if let Some(subscription) = self.notifies.remove(request)
                    && status.code >= 300
                {
                    self.refused.insert(subscription);
                }
                self.refers.remove(request);
            }
            Input::Timer(timer) => {
                self.timers.remove(timer);
            }
            Input::Media(MediaInput::CutOver { survivor, new, .. })
                if self.ears.waiting.is_some_and(|swap| swap.survivor == *survivor && swap.new == *new) =>
            {
                self.ears.cut_over();
            }
            _ => {}
        }
        let mut acts = Vec::new();
        self.call.handle(self.now, input, &mut acts);
        self.take(acts);
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<TransferId, CommandError> {
        let mut acts = Vec::new();
        let answer = self.call.command(self.now, command, &mut acts);
        assert!(answer.is_ok() || acts.is_empty(), "a refused command has changed nothing: {acts:?}");
        self.take(acts);
        answer
    }

    pub(crate) fn replace(&mut self, party: PartyId) -> Result<PartyId, Status> {
        let mut acts = Vec::new();
        let answer = self.call.replace(self.now, party, &incoming(), Arc::new(carrier()), &mut acts);
        if let Ok(new) = answer {
            self.dialogs.insert(new, Dialog::Inviting);
            self.ears.add(new);
        }
        assert!(answer.is_ok() || acts.is_empty(), "a refused INVITE has changed nothing: {acts:?}");
        self.take(acts);
        answer
    }

    /// The call takes in another one.
    pub(crate) fn merge(&mut self, other: Self, matched: PartyId) -> Result<(), (Box<Self>, Status)> {
        let mut acts = Vec::new();
        let now = self.now;
        let (ears, dialogs) = (other.ears.clone(), other.dialogs.clone());
        match self.call.merge(now, other.call, matched, &mut acts) {
            Ok(merged) => {
                self.ears.merge(&ears, &merged.parties);
                for &(was, is) in &merged.parties {
                    self.dialogs.insert(is, dialogs[&was]);
                }
                let here = |party: PartyId| {
                    let moved = merged.parties.iter().find_map(|&(was, is)| (was == party).then_some(is));
                    moved.unwrap_or(PartyId(u32::MAX))
                };
                let moved = |((party, event), codes): ((PartyId, Box<str>), Vec<u16>)| ((here(party), event), codes);
                self.told.extend(other.told.into_iter().map(moved));
                self.refused.extend(other.refused.into_iter().map(|(party, event)| (here(party), event)));
                for &(was, is) in &merged.requests {
                    let (party, event) = other.notifies[&was].clone();
                    self.notifies.insert(is, (here(party), event));
                }
                self.take(acts);
                Ok(())
            }
            Err((call, status)) => {
                assert!(acts.is_empty());
                Err((Box::new(Self { call: *call, ..other }), status))
            }
        }
    }

    fn take(&mut self, acts: Vec<Act>) {
        assert!(!self.is_over || acts.iter().all(|act| matches!(act, Act::Respond { .. })), "after the end: {acts:?}");
        for act in &acts {
            self.check(act);
        }
        let failed = acts.iter().filter_map(|act| match act {
            Act::Transfer(record) if record.state == TransferState::Failed => Some(record.clone()),
            _ => None,
        });
        for record in failed.collect::<Vec<_>>() {
            self.check_failed(&record);
        }
        self.acts.extend(acts);
        self.check_ears();
        self.check_timers();
    }

    /// Whatever is waited for has an end, and nothing else is.
    fn check_timers(&self) {
        let runs = |timer: TimerId| self.timers.contains_key(&timer);
        for (party, view) in self.call.parties() {
            let settles = runs(TimerId::Settle(party));
            match self.dialog(party) {
                Dialog::Dialled => assert!(runs(TimerId::Ring(party)), "{party:?} may ring for ever"),
                Dialog::Cancelled => assert!(settles, "{party:?} may stay cancelled for ever"),
                Dialog::Answered | Dialog::Up if view.is_leaving => {
                    let is_told = self.notifies.values().any(|(told, event)| *told == party && !is_own(event));
                    assert!(
                        settles || runs(TimerId::Grace(party)) != is_told,
                        "{party:?} may leave for ever, or may not"
                    );
                }
                Dialog::Over => assert!(
                    !settles && !runs(TimerId::Ring(party)) && !runs(TimerId::Grace(party)),
                    "{party:?} is over"
                ),
                _ => {}
            }
        }
        let is_open = |id: TransferId| self.transfers.get(&id).is_some_and(|record| !record.state.is_over());
        let deciding = self.timers.keys().filter_map(|timer| match *timer {
            TimerId::Decision(id) | TimerId::Refer(id) => Some(id),
            _ => None,
        });
        let deciding: Vec<_> = deciding.collect();
        assert!(deciding.iter().all(|&id| is_open(id)), "{deciding:?} are over");
        assert!(self.requests.values().all(Option::is_some) || !deciding.is_empty(), "a REFER may wait for ever");
        let connecting =
            self.transfers.values().any(|record| record.state == TransferState::Connecting && is_open(record.id));
        let joins = self.timers.keys().any(|timer| matches!(timer, TimerId::FirstPacket(_) | TimerId::Detection(_)));
        assert_eq!(
            joins, connecting,
            "whoever is being joined is not waited for without end, and nobody else is waited for"
        );
    }

    fn check(&mut self, act: &Act) {
        match act {
            Act::Dial(party, dial) => {
                assert!(self.dialogs.insert(*party, Dialog::Dialled).is_none(), "{party:?} is dialled once");
                let uri: Uri = dial.request_uri.parse().expect("a URI");
                assert!(
                    uri.scheme != Scheme::Tel
                        && !carrier().emergency.is_reached_by(uri.user.as_deref().unwrap_or_default())
                );
                self.dials.insert(*party, (**dial).clone());
                self.ears.add(*party);
            }
            Act::Cancel(party, _) => self.step(*party, &[Dialog::Dialled], Dialog::Cancelled),
            Act::Bye(party, _) => {
                let is_forced = self.forced.contains(party);
                let waits = self.notifies.values().any(|(told, event)| told == party && !is_own(event));
                assert!(is_forced || !waits, "a BYE before the NOTIFY was answered");
                let from = if is_forced { &[Dialog::Up, Dialog::Answered][..] } else { &[Dialog::Up] };
                self.step(*party, from, Dialog::Over);
            }
            Act::Progress { party, .. } => self.step(*party, &[Dialog::Inviting], Dialog::Inviting),
            Act::Accept(party) => self.step(*party, &[Dialog::Inviting], Dialog::Answered),
            Act::Reject { party, status, .. } => {
                assert!((400..700).contains(&status.code), "{status:?}");
                self.step(*party, &[Dialog::Inviting], Dialog::Over);
            }
            Act::Respond { request, status, headers } => {
                assert!((200..700).contains(&status.code) && !status.phrase.is_empty());
                let answer = self.requests.get_mut(request).expect("a request that is there");
                assert!(answer.replace(status.clone()).is_none(), "{request:?} is answered once");
                self.headers.insert(*request, headers.clone());
            }
            Act::Notify { party, dialog, request, event, state, body } => {
                // One in a dialog of its own is no other's of the party.
                let event = dialog.map_or_else(|| event.to_string(), |dialog| format!("{event}@{}", dialog.0));
                self.check_notify(*party, *request, &event, state, body);
            }
            Act::SendRefer { party, request, refer_to, .. } => {
                assert!(matches!(self.dialog(*party), Dialog::Up | Dialog::Answered));
                self.refers.insert(*request, (*party, refer_to.clone()));
            }
            Act::Media(act) => self.ears.take(act),
            Act::StartTimer(timer, after) => {
                self.timers.insert(*timer, self.now + *after);
            }
            Act::StopTimer(timer) => {
                self.timers.remove(timer).unwrap_or_else(|| panic!("{timer:?} does not run"));
            }
            Act::AskWebhook(id, question) => self.asked = Some((*id, question.clone())),
            Act::Resolve(id, replaces) => self.to_resolve = Some((*id, replaces.clone())),
            Act::Transfer(record) => {
                let known = self.transfers.insert(record.id, (**record).clone());
                assert!(known.is_none_or(|known| !known.state.is_over()), "a transfer ends once: {record:?}");
                assert_eq!(record.ended.is_some(), record.state.is_over());
                for failure in &record.failures {
                    assert!(!failure.explain().causes.is_empty());
                }
            }
            Act::Record(record) => self.record = Some((**record).clone()),
            Act::Over => self.check_over(),
        }
    }

    fn step(&mut self, party: PartyId, from: &[Dialog], to: Dialog) {
        let dialog = self.dialogs.get_mut(&party).expect("a party that is there");
        assert!(from.contains(dialog), "{party:?} is {dialog:?}, not {from:?}");
        *dialog = to;
    }

    fn check_notify(&mut self, party: PartyId, request: OwnId, event: &str, state: &str, body: &str) {
        let is_there = matches!(self.dialog(party), Dialog::Up | Dialog::Answered);
        assert!(is_there || is_own(event), "a NOTIFY to {party:?}, which is gone");
        let subscription = (party, event.into());
        assert!(!self.refused.contains(&subscription), "a NOTIFY after one was refused");
        assert!(!self.notifies.values().any(|known| *known == subscription), "two NOTIFYs at a time");
        let code = sipfrag::read(body).expect("a sipfrag").code;
        assert!(body.ends_with("\r\n") && body.trim_end().split(' ').count() >= 3, "{body:?}");
        let told = self.told.entry(subscription.clone()).or_default();
        assert_eq!(told.is_empty(), code == 100, "100 is the first: {told:?} {code}");
        assert!(told.last().is_none_or(|&last| last < 200 && last < code), "{told:?} {code}");
        assert_eq!(state.starts_with("terminated"), code >= 200);
        told.push(code);
        self.notifies.insert(request, subscription);
    }

    fn check_over(&mut self) {
        self.is_over = true;
        assert_eq!(self.dialogs.values().find(|dialog| **dialog != Dialog::Over), None, "{:?}", self.dialogs);
        assert_eq!(self.timers, BTreeMap::new(), "timers are stopped");
        assert!(self.requests.values().all(Option::is_some), "every request is answered: {:?}", self.requests);
        let untold = self.told.iter().find(|(of, codes)| {
            is_own(&of.1) && !self.refused.contains(of) && codes.last().is_none_or(|&last| last < 200)
        });
        assert_eq!(untold, None, "whoever is told in a dialog of its own is told the end");
        let open: Vec<_> = self.transfers.values().filter(|record| !record.state.is_over()).collect();
        assert!(open.is_empty(), "{open:?}");
        assert!(self.record.as_ref().is_some_and(|record| record.ended.is_some()));
    }

    pub(crate) fn party_of(&self, name: &str) -> PartyId {
        self.call.parties().find(|(_, view)| *view.name == *name).expect("a name of the call").0
    }

    /// Nobody is left in silence: whoever is transferred, and when nobody is, whoever is there.
    fn check_ears(&self) {
        let transferee = self.call.transfer().map(|id| self.party_of(&self.transfers[&id].transferee));
        for (party, view) in self.call.parties() {
            let is_there = matches!(self.dialog(party), Dialog::Up | Dialog::Answered) && !view.is_leaving;
            if is_there && transferee.is_none_or(|transferee| transferee == party) {
                assert_ne!(self.ears.hears(party), Hears::Silence, "{party:?} {:?} {:?}", self.acts, self.ears);
            }
        }
    }

    /// A failed target leaves the transferee with the original party, if that is there.
    fn check_failed(&self, record: &TransferRecord) {
        let (transferor, transferee) = (self.party_of(&record.transferor), self.party_of(&record.transferee));
        let is_leaving = |party: PartyId| self.call.parties().any(|(id, view)| id == party && view.is_leaving);
        let is_there = |party| self.dialog(party) != Dialog::Over && !is_leaving(party);
        if is_there(transferor) && is_there(transferee) {
            assert_eq!(self.ears.hears(transferee), Hears::Party(transferor), "{record:?}");
        } else {
            assert!(!is_there(transferee), "alone, and not hung up: {record:?}");
        }
    }

    pub(crate) fn accept(&mut self, party: PartyId) {
        self.input(Input::Accepted { party, allow: None });
    }

    pub(crate) fn ring(&mut self, party: PartyId) {
        self.input(Input::Progress { party, status: status(180), early_media: false });
    }

    pub(crate) fn reject(&mut self, party: PartyId, code: u16) {
        self.input(Input::Rejected(party, Box::new(rejection(code))));
    }

    pub(crate) fn hang_up(&mut self, party: PartyId) {
        self.input(Input::Ended(party, None));
    }

    pub(crate) fn next_request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    /// Sends a REFER, and says what it was answered with by now.
    pub(crate) fn refer(&mut self, party: PartyId, mut refer: Refer) -> (RequestId, Option<u16>) {
        let request = self.next_request();
        refer.cseq = u32::try_from(request.0).expect("few requests");
        refer.subscription = refer.subscription.map(|_| DialogId(NEXT_DIALOG.fetch_add(1, Ordering::Relaxed)));
        self.input(Input::Refer { party, request, refer: Box::new(refer) });
        (request, self.answer(request))
    }

    pub(crate) fn answer(&self, request: RequestId) -> Option<u16> {
        self.requests[&request].as_ref().map(|status| status.code)
    }

    /// NOTIFYs are answered as long as there are any.
    pub(crate) fn answer_notifies(&mut self, code: u16) {
        while let Some((&request, _)) = self.notifies.first_key_value() {
            self.input(Input::Answered { request, status: status(code) });
        }
    }

    pub(crate) fn told(&self, party: PartyId) -> Vec<u16> {
        self.told.iter().filter(|((told, _), _)| *told == party).flat_map(|(_, codes)| codes.clone()).collect()
    }

    pub(crate) fn fire(&mut self, timer: TimerId) {
        let at = self.timers[&timer];
        self.now = self.now.max(at);
        self.input(Input::Timer(timer));
    }

    pub(crate) fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    pub(crate) fn cut_over(&mut self) {
        let swap = self.ears.waiting.expect("a swap waits");
        self.input(Input::Media(MediaInput::CutOver { survivor: swap.survivor, new: swap.new, receipts: Vec::new() }));
    }

    pub(crate) fn transfer(&self) -> &TransferRecord {
        self.transfers.last_key_value().expect("a transfer").1
    }

    pub(crate) fn hears(&self, party: PartyId) -> Hears {
        self.ears.hears(party)
    }

    /// Everybody hangs up, everything is answered, all timers run down; then it must be over.
    pub(crate) fn wind_up(&mut self) {
        for party in self.dialogs.keys().copied().collect::<Vec<_>>() {
            match self.dialog(party) {
                Dialog::Inviting => self.input(Input::Cancelled(party, None)),
                Dialog::Dialled => self.reject(party, 404),
                Dialog::Cancelled => self.reject(party, 487),
                Dialog::Answered | Dialog::Up => self.hang_up(party),
                Dialog::Over => {}
            }
        }
        for _ in 0..200 {
            if self.is_over {
                return;
            }
            if let Some(party) =
                self.dialogs.iter().find(|(_, dialog)| **dialog == Dialog::Cancelled).map(|(party, _)| *party)
            {
                self.reject(party, 487);
            } else if self.notifies.is_empty() {
                let Some((&timer, _)) = self.timers.first_key_value() else { break };
                self.fire(timer);
            } else {
                self.answer_notifies(200);
            }
        }
        assert!(self.is_over, "not over: {:?} {:?}", self.dialogs, self.timers);
    }
}
