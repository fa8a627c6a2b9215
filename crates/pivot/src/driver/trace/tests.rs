use super::*;

const TRUNK: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));
const STRANGER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(198, 51, 100, 1));

fn traces(limits: TraceLimits) -> Traces {
    Traces::new(limits, Instant::now(), |ip| ip == TRUNK)
}

fn plenty() -> TraceLimits {
    TraceLimits { bytes: 1 << 20, call_bytes: 1 << 18, call_messages: 512, calls: 100 }
}

fn see(traces: &Traces, from: IpAddr, is_outgoing: bool, call_id: &str, text: &str) {
    let local = SocketAddr::from(([192, 0, 2, 9], 5060));
    let address = SocketAddr::new(from, 5060);
    traces.message(&Traced::new(is_outgoing, local, address, Transport::Udp, call_id, text.as_bytes()));
}

fn invite(traces: &Traces, from: IpAddr, call_id: &str) {
    see(traces, from, false, call_id, "INVITE sip:a SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n");
}

fn lines(traces: &Traces, call: u64) -> Vec<String> {
    traces.of(call).unwrap_or_default().messages.iter().map(|message| message.first_line().into_owned()).collect()
}

/// As the accounts have it, and as it is.
fn must_be_accounted(traces: &Traces) {
    let state = traces.state();
    assert_eq!(state.bytes, state.calls.values().map(Kept::bytes).sum::<usize>());
    let early = state.early.by_number.values().flat_map(|(_, messages)| messages);
    assert_eq!(state.early.bytes, early.map(TraceMessage::size).sum::<usize>());
    assert_eq!(state.early.by_number.len(), state.early.by_call_id.len());
    assert!(state.bytes <= traces.limits.bytes && state.early.bytes <= traces.limits.bytes / 8);
}

#[test]
fn a_call_has_its_invite_and_what_its_dialogs_say_with_their_parties() {
    let traces = traces(plenty());
    invite(&traces, TRUNK, "c");
    see(&traces, TRUNK, true, "c", "SIP/2.0 100 Trying\r\n\r\n");
    traces.begins(7, "c", &"caller".into());
    traces.awaits(DialogId(3), 7, &"agent".into());
    traces.dialog(DialogId(3), "d");
    traces.awaits_no_more(DialogId(3));
    see(&traces, STRANGER, true, "d", "INVITE sip:agent SIP/2.0\r\ncseq : 9 INVITE\r\n\r\nCSeq: 1 BODY");
    see(&traces, STRANGER, false, "d", "SIP/2.0 486 Busy Here\r\n\r\nCSeq: 1 BODY");
    let trace = traces.of(7).expect("there is one");
    let seen: Vec<_> = trace
        .messages
        .iter()
        .map(|message| (message.is_outgoing, &*message.party, message.first_line(), message.cseq()))
        .collect();
    assert_eq!(
        seen,
        [
            (false, "caller", "INVITE sip:a SIP/2.0".into(), "1 INVITE".into()),
            (true, "caller", "SIP/2.0 100 Trying".into(), "".into()),
            (true, "agent", "INVITE sip:agent SIP/2.0".into(), "9 INVITE".into()),
            (false, "agent", "SIP/2.0 486 Busy Here".into(), "".into()),
        ]
    );
    assert!(trace.messages.is_sorted_by_key(|message| message.at));
    must_be_accounted(&traces);
}

#[test]
fn strangers_push_nothing_out() {
    let traces = traces(plenty());
    invite(&traces, TRUNK, "waits");
    invite(&traces, TRUNK, "c");
    traces.begins(1, "c", &"caller".into());
    for number in 0..10_000 {
        invite(&traces, STRANGER, &format!("s{number}"));
        see(&traces, TRUNK, false, &format!("t{number}"), "BYE sip:a SIP/2.0\r\n\r\n");
        see(&traces, TRUNK, true, &format!("s{number}"), "SIP/2.0 403 Forbidden\r\n\r\n");
    }
    traces.begins(2, "waits", &"caller".into());
    assert_eq!((lines(&traces, 1).len(), lines(&traces, 2).len()), (1, 1));
    must_be_accounted(&traces);
    // Those of a trunk that come to no call push out each other alone.
    for number in 0..10_000 {
        invite(&traces, TRUNK, &format!("u{number}"));
    }
    must_be_accounted(&traces);
    invite(&traces, TRUNK, "refused");
    traces.refused("refused");
    traces.begins(3, "refused", &"caller".into());
    assert_eq!((lines(&traces, 1).len(), lines(&traces, 2).len(), lines(&traces, 3).len()), (1, 1, 0));
    must_be_accounted(&traces);
}

#[test]
fn the_first_and_the_latest_are_kept_and_the_others_counted() {
    let traces = traces(TraceLimits { call_messages: 10, ..plenty() });
    traces.begins(1, "c", &"caller".into());
    for number in 0..100 {
        see(&traces, TRUNK, false, "c", &format!("INFO {number} SIP/2.0\r\n\r\n"));
    }
    let trace = traces.of(1).expect("there is one");
    let numbers = [0, 1, 2, 3, 4, 95, 96, 97, 98, 99].map(|number| format!("INFO {number} SIP/2.0"));
    assert_eq!(lines(&traces, 1), numbers);
    assert_eq!((trace.left_out, trace.left_out_at), (90, 5));
    must_be_accounted(&traces);
}

#[test]
fn a_call_has_its_octets_and_the_oldest_calls_go_first() {
    let limits = TraceLimits { bytes: 100_000, call_bytes: 30_000, ..plenty() };
    let traces = traces(limits);
    let long = format!("INFO sip:a SIP/2.0\r\n\r\n{}", "x".repeat(9_000));
    for call in 1..=20 {
        let call_id = format!("c{call}");
        traces.begins(call, &call_id, &"caller".into());
        for _ in 0..10 {
            see(&traces, TRUNK, false, &call_id, &long);
        }
        // What no half can hold is left out, and nothing else for it.
        see(&traces, TRUNK, false, &call_id, &"y".repeat(60_000));
        let trace = traces.of(call).expect("it is the latest");
        assert_eq!((trace.messages.len() as u64 + trace.left_out, trace.messages.len()), (11, 2));
        must_be_accounted(&traces);
    }
    assert!(traces.of(1).is_none() && traces.of(20).is_some());
    see(&traces, TRUNK, false, "c1", &long);
    assert!(traces.of(1).is_none(), "its Call-ID is forgotten with it");
    must_be_accounted(&traces);
}

#[test]
fn a_long_name_is_counted_too() {
    let traces = traces(TraceLimits { bytes: 200_000, ..plenty() });
    for call in 1..100 {
        let call_id = format!("{call}{}", "n".repeat(60_000));
        traces.begins(call, &call_id, &"caller".into());
        see(&traces, TRUNK, false, &call_id, "BYE sip:a SIP/2.0\r\n\r\n");
        must_be_accounted(&traces);
    }
}

#[test]
fn a_call_that_comes_back_is_in_both_traces() {
    let traces = traces(plenty());
    traces.awaits(DialogId(1), 1, &"target".into());
    traces.dialog(DialogId(1), "d");
    see(&traces, TRUNK, true, "d", "INVITE sip:out SIP/2.0\r\n\r\n");
    see(&traces, TRUNK, false, "d", "INVITE sip:back SIP/2.0\r\n\r\n");
    traces.begins(2, "d", &"caller".into());
    see(&traces, TRUNK, true, "d", "SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(lines(&traces, 1), ["INVITE sip:out SIP/2.0", "INVITE sip:back SIP/2.0", "SIP/2.0 200 OK"]);
    assert_eq!(lines(&traces, 2), ["INVITE sip:back SIP/2.0", "SIP/2.0 200 OK"]);
    must_be_accounted(&traces);
}

#[test]
fn nothing_is_kept_where_it_is_off() {
    let traces = traces(TraceLimits::of_bytes(0));
    invite(&traces, TRUNK, "c");
    traces.begins(1, "c", &"caller".into());
    see(&traces, TRUNK, false, "c", "BYE sip:a SIP/2.0\r\n\r\n");
    assert!(traces.of(1).is_none() && traces.is_off());
}

#[test]
fn a_call_that_takes_another_in_has_what_was_said_in_both() {
    let traces = traces(plenty());
    for (call, call_id) in [(1, "c"), (2, "d")] {
        invite(&traces, TRUNK, call_id);
        traces.begins(call, call_id, &"caller".into());
    }
    see(&traces, TRUNK, false, "c", "REFER sip:a SIP/2.0\r\n\r\n");
    traces.merge(1, 2, &[("caller".into(), "caller-2".into())].into());
    see(&traces, TRUNK, false, "d", "BYE sip:a SIP/2.0\r\n\r\n");
    let trace = traces.of(1).expect("there is one");
    let seen: Vec<_> = trace.messages.iter().map(|message| (&*message.party, message.first_line())).collect();
    let said = |party, line: &'static str| (party, Cow::Borrowed(line));
    assert_eq!(
        seen,
        [
            said("caller", "INVITE sip:a SIP/2.0"),
            said("caller-2", "INVITE sip:a SIP/2.0"),
            said("caller", "REFER sip:a SIP/2.0"),
            said("caller-2", "BYE sip:a SIP/2.0"),
        ]
    );
    assert_eq!(traces.of(2), None);
    must_be_accounted(&traces);
}
