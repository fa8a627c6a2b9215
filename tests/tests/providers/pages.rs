//! Every page is complete, its configurations are accepted, and the index has it.

use std::fs;
use std::net::Ipv4Addr;

use patchcord_tests::{Folder, Relay};

use crate::page::{Page, folder, trunks};

/// The networks of documents (RFC 5737).
const NETWORKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];

#[test]
fn there_is_a_page_for_each_provider() {
    let names: Vec<_> = Page::all().into_iter().map(|page| page.name).collect();
    let wanted = ["asterisk", "freeswitch", "jambonz", "livekit", "retell", "sinch", "telnyx", "twilio", "vonage"];
    assert_eq!(names, wanted);
}

/// As they are printed: `serve --print-config` checks what can be checked without the provider. That each profile starts is seen where calls go
/// through it.
#[test]
fn every_configuration_of_every_page_is_accepted() {
    let folder = Folder::create(env!("CARGO_TARGET_TMPDIR"), "providers");
    for page in Page::all() {
        assert!(!page.configurations().is_empty(), "{} has no ```toml", page.name);
        for (number, text) in page.configurations().into_iter().enumerate() {
            let file = folder.path().join(format!("{}-{number}.toml", page.name));
            fs::write(&file, text).unwrap();
            // It prints its configuration in place of listening.
            let ended = Relay::try_start(&["--config", file.to_str().unwrap(), "--print-config"])
                .expect_err("it ends without listening");
            assert!(
                ended.status.success(),
                "docs/providers/{}.md, configuration {number}: {}",
                page.name,
                ended.stderr
            );
        }
    }
}

/// Addresses of providers change, and are nothing that a page may have from memory.
#[test]
fn pages_have_no_address_but_those_of_documents() {
    for page in Page::all() {
        for number in 0..page.configurations().len() {
            let profile = page.profile(number);
            let (carrier, platform) = trunks(&profile);
            for name in [carrier, platform] {
                let addresses = profile["pivot"]["trunks"][&name]["addresses"].as_array().unwrap();
                assert!(!addresses.is_empty(), "docs/providers/{}.md: {name} has no addresses", page.name);
            }
        }
        for word in page.text.split(|char: char| !char.is_ascii_digit() && char != '.') {
            if let Ok(address) = word.trim_matches('.').parse::<Ipv4Addr>() {
                let [a, b, c, _] = address.octets();
                assert!(NETWORKS.contains(&[a, b, c]), "docs/providers/{}.md has {address}", page.name);
            }
        }
    }
}

/// What is said about a provider comes from somewhere.
#[test]
fn every_page_names_its_sources_and_what_is_unverified() {
    for page in Page::all() {
        let (_, sources) =
            page.text.split_once("\n## Sources\n").unwrap_or_else(|| panic!("{}: no sources", page.name));
        assert!(sources.contains("https://"), "{}: no source has an address", page.name);
        for heading in [
            "## Who is who",
            "## At the provider",
            "## Configuration",
            "## A transfer",
            "## What goes wrong",
            "## How to check",
        ] {
            assert!(
                page.text.contains(&format!("\n{heading}\n")),
                "docs/providers/{}.md has no `{heading}`",
                page.name
            );
        }
        assert!(page.text.to_lowercase().contains("imitat"), "{}: how it is tested is not said", page.name);
    }
}

#[test]
fn the_index_has_every_page() {
    let index = fs::read_to_string(folder().join("README.md")).unwrap();
    for page in Page::all() {
        let row = index.lines().find(|line| line.starts_with('|') && line.contains(&format!("]({}.md)", page.name)));
        let row = row.unwrap_or_else(|| panic!("docs/providers/README.md has no row for {}.md", page.name));
        assert_eq!(row.matches(" | ").count(), 5, "six columns: {row}");
    }
    for link in index.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains(':')) {
        assert!(
            folder().join(link.split('#').next().unwrap()).is_file(),
            "docs/providers/README.md: {link} is not there"
        );
    }
}
