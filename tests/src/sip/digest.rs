//! Answers to challenges (RFC 3261 22.4), with hashes of the system's own tools: nothing of the relay's is used to test it.

use std::io::Write as _;
use std::process::Stdio;

use super::message::Message;
use crate::process::Tool;

/// The header field that answers a response's challenge for this algorithm, MD5 or SHA-256.
///
/// # Panics
/// If there is no such challenge.
#[must_use]
pub fn authorization(challenged: &Message, algorithm: &str, method: &str, uri: &str, user: (&str, &str)) -> String {
    let named = format!("algorithm={algorithm}");
    let challenge = challenged.all("WWW-Authenticate").find(|challenge| challenge.contains(&named));
    let challenge = challenge.unwrap_or_else(|| panic!("{} has no challenge for {algorithm}", challenged.start));
    let quoted = |name: &str| {
        let (_, rest) =
            challenge.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in {challenge}"));
        rest.split('"').next().unwrap_or_default()
    };
    let (realm, nonce) = (quoted("realm"), quoted("nonce"));
    let hash = |text: &str| hash(algorithm, text);
    let (first, second) = (hash(&format!("{}:{realm}:{}", user.0, user.1)), hash(&format!("{method}:{uri}")));
    let response = hash(&format!("{first}:{nonce}:00000001:c:auth:{second}"));
    format!(
        "Authorization: Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
         algorithm={algorithm}, qop=auth, nc=00000001, cnonce=\"c\"\r\n",
        user.0
    )
}

fn hash(algorithm: &str, text: &str) -> String {
    let program = if algorithm == "MD5" { "md5sum" } else { "sha256sum" };
    let mut command = Tool { program, package: "coreutils" }.command();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let line = String::from_utf8(output.stdout).expect("text");
    line.split(' ').next().unwrap_or_default().to_owned()
}
