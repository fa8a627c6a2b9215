//! What a call and its transfers come to on the bill: the components of the table, each with the time that it is paid for.

use core::time::Duration;

use super::book::Kept;
use crate::call::billing::{Component, Role, bill};
use crate::call::record::TransferRecord;
use crate::call::route::TargetKind;
use crate::http::ComponentView;

/// The components of a call that is over; none if it was not answered. The parent is paid for until the first transfer was done, and each child
/// from its own connection until the next one's.
pub(super) fn components(call_id: &str, kept: &Kept) -> Vec<ComponentView> {
    let Some(call) = &kept.call else { return Vec::new() };
    let Some((answered, ended)) = call.answered.zip(call.ended) else { return Vec::new() };
    let mut children: Vec<&TransferRecord> = kept.transfers.values().filter(|child| child.bill.is_some()).collect();
    children.sort_by_key(|child| connected(child));
    let mut all = Vec::new();
    let until = children.first().map_or(ended, |child| connected(child));
    // The parent's part is the same whatever the target is.
    let parent = bill(call.direction, TargetKind::Sip);
    let mut add =
        |components: &[Component], log: (Role, Role), child: Option<&TransferRecord>, from, until: Duration| {
            let uri = |role| match role {
                Role::A => call.caller.uri.to_string(),
                Role::B => call.callee.uri.to_string(),
                Role::C => child.map_or_else(String::new, |child| child.refer_to.to_string()),
            };
            let at = |time: Duration| kept.at(time.min(ended));
            all.extend(components.iter().map(|component| ComponentView {
                transfer: child.map(|child| format!("{call_id}-{}", child.id.0)),
                service: component.service.as_str(),
                from: component.from.as_str(),
                to: component.to.as_str(),
                from_uri: uri(component.from),
                to_uri: uri(component.to),
                log_from: log.0.as_str(),
                log_to: log.1.as_str(),
                began_ms: at(from),
                ended_ms: at(until.max(from)),
            }));
        };
    add(parent.parent, parent.parent_log, None, answered, until);
    for (at, child) in children.iter().enumerate() {
        let Some(bill) = &child.bill else { continue };
        let until = children.get(at + 1).map_or(ended, |next| connected(next));
        add(bill.child, bill.child_log, Some(child), connected(child), until);
    }
    all
}

fn connected(transfer: &TransferRecord) -> Duration {
    transfer.connected.or(transfer.ended).unwrap_or(transfer.began)
}
