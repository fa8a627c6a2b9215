//! Every package that is built has a licence that deny.toml allows.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs;
use std::path::Path;

use cargo_metadata::MetadataCommand;
use spdx::{Expression, Licensee};

#[test]
fn every_dependency_has_an_allowed_licence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let deny: toml::Table = fs::read_to_string(root.join("deny.toml")).unwrap().parse().unwrap();
    let allowed: Vec<Licensee> = deny["licenses"]["allow"]
        .as_array()
        .unwrap()
        .iter()
        .map(|licence| Licensee::parse(licence.as_str().unwrap()).unwrap())
        .collect();
    let metadata = MetadataCommand::new().current_dir(root).exec().unwrap();
    assert!(metadata.packages.len() > 50, "cargo metadata lists hardly anything: {}", metadata.packages.len());
    let mut refused = Vec::new();
    for package in &metadata.packages {
        let id = format!("{} {}", package.name, package.version);
        // Old crates write MIT/Apache-2.0, which means OR.
        let Some(licence) = package.license.as_ref().map(|licence| licence.replace('/', " OR ")) else {
            refused.push(format!("{id}: names no licence"));
            continue;
        };
        let allowed = Expression::parse(&licence)
            .is_ok_and(|expression| expression.evaluate(|needed| allowed.iter().any(|have| have.satisfies(needed))));
        if !allowed {
            refused.push(format!("{id}: {licence}"));
        }
    }
    assert!(refused.is_empty(), "not allowed by deny.toml:\n{}", refused.join("\n"));
}
