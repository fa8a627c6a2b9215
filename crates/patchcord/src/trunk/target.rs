//! How transfer targets would be dialled by the trunk, and which would be refused: the same rules as in a call, with nobody called.

use patchcord_pivot::call::route::{Rule, Via, route};

use super::Subject;
use crate::doctor::Finding;

/// A number of nobody: 555-0100 to 555-0199 are for examples.
const NUMBER: &str = "+15550100";

impl Subject<'_> {
    /// Forms of a number, and a few targets with what becomes of them.
    pub(super) fn targets(&self) -> Vec<Finding> {
        let trunk = &self.trunk.trunk;
        if !trunk.transfers {
            return vec![Finding::ok("transfers", "`transfers` is off: each REFER of its parties is answered 603")];
        }
        let domain = &self.config.domain;
        let forms =
            [format!("tel:{NUMBER}"), format!("sip:{NUMBER}@{domain}"), format!("sip:{NUMBER}@{domain};user=phone")];
        let mut findings: Vec<_> = forms.iter().map(|form| self.dialled("number", form)).collect();
        findings.push(Finding::ok(
            "REFER",
            format!(
                "sent to its parties (method `refer`), Refer-To has the target as it was commanded. Name it as the provider wants it: {}",
                [&forms[0], &forms[2]].map(|form| format!("<{form}>")).join(" or ")
            ),
        ));
        let foreign = self.config.foreign_domains.iter().take(4).map(|domain| match domain.strip_prefix("*.") {
            Some(below) => format!("sip:desk@any.{below}"),
            None => format!("sip:desk@{domain}"),
        });
        let ourselves = trunk.ourselves.first().map(|own| format!("sip:agent@{own}"));
        let examples = ["tel:911".to_owned(), "sip:desk@elsewhere.example".to_owned()].into_iter();
        findings.extend(examples.chain(foreign).chain(ourselves).map(|target| self.dialled("target", &target)));
        findings
    }

    fn dialled(&self, check: &'static str, target: &str) -> Finding {
        let trunk = &self.trunk.trunk;
        let uri = match target.parse() {
            Ok(uri) => uri,
            Err(error) => {
                return Finding::fail(
                    check,
                    format!("{target} is no URI: {error}"),
                    "`domain` or `foreign_domains` has something that is no host",
                    format!("correct it in pivot.trunks.{}", self.name),
                );
            }
        };
        match route(&uri, trunk, trunk) {
            Ok(routed) => {
                let way = match routed.via {
                    Via::Trunk(_) => format!("by {}", self.uri()),
                    Via::Direct => "straight to its host".to_owned(),
                };
                Finding::ok(check, format!("{target} is called as {}, {way}", routed.request_uri))
            }
            Err(rule) => {
                let code = rule.status().code;
                Finding::ok(check, format!("{target} is refused with {code}, {}: {}", rule.as_str(), self.why(rule)))
            }
        }
    }

    fn why(&self, rule: Rule) -> String {
        let name = self.name;
        match rule {
            Rule::Emergency => "calls to emergency services are not transferred".to_owned(),
            Rule::ForeignDomain => format!("add its domain to pivot.trunks.{name}.foreign_domains if it is wanted"),
            Rule::PstnOff => format!("set pivot.trunks.{name}.pstn_transfers = true if numbers are wanted"),
            Rule::Loop => "it is the pivot itself".to_owned(),
            _ => "by the rules of docs/pivot.md".to_owned(),
        }
    }
}
