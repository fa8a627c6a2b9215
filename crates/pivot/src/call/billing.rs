//! What a transfer is billed as: components of the parent call and of the child that the transfer makes.

use super::route::TargetKind;

/// Which way a call goes, seen from the telephone network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a customer to the telephone network.
    Termination,
    /// From the telephone network to a customer.
    Origination,
}

impl Direction {
    /// Its name on records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Termination => "termination",
            Self::Origination => "origination",
        }
    }
}

/// Who: the caller, the called party, the target of the transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The caller.
    A,
    /// The called party.
    B,
    /// The target.
    C,
}

impl Role {
    /// Its name on records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }
}

/// Something that is paid for by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// By which price.
    pub service: Direction,
    /// From whom.
    pub from: Role,
    /// To whom.
    pub to: Role,
}

/// How a call with one transfer is billed. The parent's components are paid for its duration, the child's for the child's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Of the parent.
    pub parent: &'static [Component],
    /// From whom to whom the parent's record is.
    pub parent_log: (Role, Role),
    /// Of the child.
    pub child: &'static [Component],
    /// From whom to whom the child's record is.
    pub child_log: (Role, Role),
}

const fn component(service: Direction, from: Role, to: Role) -> Component {
    Component { service, from, to }
}

/// How a call that goes this way and is transferred to a target of this kind is billed.
#[must_use]
pub const fn bill(direction: Direction, target: TargetKind) -> Bill {
    use Direction::{Origination, Termination};
    use Role::{A, B, C};
    const TERMINATED: &[Component] = &[component(Termination, A, B)];
    const ORIGINATED: &[Component] = &[component(Origination, A, B)];
    let (parent, child, child_log): (_, &[Component], _) = match (direction, target) {
        (Termination, TargetKind::Sip) => (TERMINATED, const { &[component(Termination, C, B)] }, (B, C)),
        (Termination, TargetKind::Pstn) => {
            (TERMINATED, const { &[component(Termination, A, B), component(Termination, A, C)] }, (B, C))
        }
        (Origination, TargetKind::Sip) => (ORIGINATED, const { &[component(Origination, A, C)] }, (A, C)),
        (Origination, TargetKind::Pstn) => {
            (ORIGINATED, const { &[component(Origination, A, B), component(Termination, B, C)] }, (A, C))
        }
    };
    Bill { parent, parent_log: (A, B), child, child_log }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(direction: Direction, target: TargetKind) -> String {
        let components = |all: &[Component]| {
            let one = |one: &Component| format!("{} {:?}-{:?}", one.service.as_str(), one.from, one.to);
            all.iter().map(one).collect::<Vec<_>>().join(" + ")
        };
        let bill = bill(direction, target);
        let log = |(from, to): (Role, Role)| format!("{from:?}->{to:?}");
        format!(
            "{}, {} | {}, {}",
            components(bill.parent),
            log(bill.parent_log),
            components(bill.child),
            log(bill.child_log)
        )
    }

    #[test]
    fn termination_to_sip() {
        let row = "termination A-B, A->B | termination C-B, B->C";
        assert_eq!(written(Direction::Termination, TargetKind::Sip), row);
    }

    #[test]
    fn termination_to_the_telephone_network() {
        let row = "termination A-B, A->B | termination A-B + termination A-C, B->C";
        assert_eq!(written(Direction::Termination, TargetKind::Pstn), row);
    }

    #[test]
    fn origination_to_sip() {
        let row = "origination A-B, A->B | origination A-C, A->C";
        assert_eq!(written(Direction::Origination, TargetKind::Sip), row);
    }

    #[test]
    fn origination_to_the_telephone_network() {
        let row = "origination A-B, A->B | origination A-B + termination B-C, A->C";
        assert_eq!(written(Direction::Origination, TargetKind::Pstn), row);
    }
}
