//! Answers to challenges (RFC 3261 22, RFC 8760).

use rsipstack::sip::headers::auth::{Algorithm, AuthQop};
use rsipstack::sip::{DigestGenerator, HasHeaders as _, Header, Request, Response};
use rsipstack::transaction::random_text;

use super::text;
use crate::message::Credentials;

struct Challenge<'a> {
    is_proxy: bool,
    realm: &'a str,
    nonce: &'a str,
    opaque: Option<&'a str>,
    algorithm: Algorithm,
    name: Option<&'a str>,
    has_qop: bool,
    is_stale: bool,
}

/// Puts credentials into a request that was challenged, in place of those that it had for the same realm. An error says why there are
/// none to put.
pub(super) fn authorize(request: &mut Request, response: &Response, credentials: &Credentials) -> Result<(), String> {
    let mut failure = "it challenges without a challenge".to_owned();
    let mut by_realm: Vec<Challenge<'_>> = Vec::new();
    for (name, is_proxy) in [("WWW-Authenticate", false), ("Proxy-Authenticate", true)] {
        for value in text::values(response.headers(), name) {
            match challenge(value, is_proxy) {
                // The first that can be answered is the one that the server prefers (RFC 8760 2.4).
                Ok(found) if by_realm.iter().all(|other| other.realm != found.realm) => by_realm.push(found),
                Ok(_) => {}
                Err(why) => failure = why,
            }
        }
    }
    by_realm.retain(|found| credentials.realm.as_deref().is_none_or(|realm| realm == found.realm));
    if by_realm.is_empty() {
        return Err(match &credentials.realm {
            Some(realm) => format!("no challenge is for the realm {realm}, which the credentials are for; {failure}"),
            None => failure,
        });
    }
    for found in by_realm {
        let name = if found.is_proxy { "Proxy-Authorization" } else { "Authorization" };
        let is_same = |field: &Header| {
            field.name() == name && field_parameter(field.value(), "realm").is_some_and(|realm| realm == found.realm)
        };
        if request.headers.iter().any(is_same) && !found.is_stale {
            return Err(format!("the credentials for the realm {} are refused", found.realm));
        }
        request.headers.retain(|field| !is_same(field));
        let value = answer(request, &found, credentials);
        request.headers.push(text::field(name, &value));
    }
    Ok(())
}

/// A parameter of Digest credentials or of a Digest challenge.
pub(super) fn field_parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let (scheme, parameters) = value.trim().split_once(char::is_whitespace)?;
    scheme.eq_ignore_ascii_case("Digest").then_some(())?;
    text::split(parameters, b',').into_iter().find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

fn challenge(value: &str, is_proxy: bool) -> Result<Challenge<'_>, String> {
    let get = |name| field_parameter(value, name);
    let name = get("algorithm");
    let algorithm = match name.map(str::to_ascii_uppercase).as_deref() {
        None | Some("MD5") => Algorithm::Md5,
        Some("SHA-256") => Algorithm::Sha256,
        Some(other) => return Err(format!("no digest algorithm {other}")),
    };
    let qops = get("qop");
    if qops.is_some_and(|qops| !qops.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth"))) {
        return Err("it wants another quality of protection than auth".to_owned());
    }
    Ok(Challenge {
        is_proxy,
        realm: get("realm").ok_or("a challenge without a realm")?,
        nonce: get("nonce").ok_or("a challenge without a nonce")?,
        opaque: get("opaque"),
        algorithm,
        name,
        has_qop: qops.is_some(),
        is_stale: get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
    })
}

fn answer(request: &Request, challenge: &Challenge<'_>, credentials: &Credentials) -> String {
    let cnonce = random_text(16);
    let qop = challenge.has_qop.then(|| AuthQop::Auth { cnonce: cnonce.clone(), nc: 1 });
    let response = DigestGenerator {
        username: &credentials.username,
        password: &credentials.password,
        nonce: challenge.nonce,
        uri: &request.uri,
        realm: challenge.realm,
        method: &request.method,
        qop: qop.as_ref(),
        algorithm: challenge.algorithm,
    }
    .compute();
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut value = format!(
        "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{response}\"",
        quoted(&credentials.username),
        challenge.realm,
        challenge.nonce,
        request.uri,
    );
    if let Some(name) = challenge.name {
        value.push_str(&format!(", algorithm={name}"));
    }
    if challenge.has_qop {
        value.push_str(&format!(", qop=auth, nc=00000001, cnonce=\"{cnonce}\""));
    }
    if let Some(opaque) = challenge.opaque {
        value.push_str(&format!(", opaque=\"{opaque}\""));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request::try_from("INVITE sip:b@h SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n").expect("a request")
    }

    fn response(challenges: &str) -> Response {
        Response::try_from(&*format!("SIP/2.0 401 Unauthorized\r\n{challenges}\r\n")).expect("a response")
    }

    fn credentials(realm: Option<&str>) -> Credentials {
        Credentials { username: "u".into(), password: "p".into(), realm: realm.map(Into::into) }
    }

    #[test]
    fn the_digest_of_rfc_2069_is_what_others_compute() {
        let mut request = request();
        let challenged = response("WWW-Authenticate: Digest realm=\"r, s\", nonce=\"n\"\r\n");
        authorize(&mut request, &challenged, &credentials(None)).expect("it can be answered");
        let value = text::value(&request.headers, "Authorization").expect("credentials");
        // printf 'u:r, s:p' | md5sum; printf 'INVITE:sip:b@h' | md5sum; printf '<first>:n:<second>' | md5sum
        assert!(value.contains("response=\"e613b2d978c7b7f3bdc2a3aa8c0c251e\""), "{value}");
        let again = authorize(&mut request, &challenged, &credentials(None));
        assert!(again.expect_err("they are refused").contains("refused"));
        let stale = response("WWW-Authenticate: Digest realm=\"r, s\", nonce=\"m\", stale=TRUE\r\n");
        authorize(&mut request, &stale, &credentials(None)).expect("another nonce is answered");
        assert_eq!(text::values(&request.headers, "Authorization").count(), 1);
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        for (challenges, realm, why) in [
            ("", None, "without a challenge"),
            ("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess\r\n", None, "MD5-SESS"),
            ("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"\r\n", None, "quality"),
            ("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n", Some("s"), "realm s"),
            ("WWW-Authenticate: Digest nonce=\"n\"\r\n", None, "without a realm"),
        ] {
            let error = authorize(&mut request(), &response(challenges), &credentials(realm)).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_first_algorithm_that_is_known_is_taken() {
        let mut request = request();
        let challenged = response(
            "Proxy-Authenticate: Digest realm=\"r\", nonce=\"1\", algorithm=SHA-512-256, qop=\"auth\"\r\n\
             Proxy-Authenticate: Digest realm=\"r\", nonce=\"2\", algorithm=SHA-256, qop=\"auth,auth-int\", opaque=\"o\"\r\n\
             Proxy-Authenticate: Digest realm=\"r\", nonce=\"3\", algorithm=MD5, qop=\"auth\"\r\n",
        );
        authorize(&mut request, &challenged, &credentials(Some("r"))).expect("it can be answered");
        let value = text::value(&request.headers, "Proxy-Authorization").expect("credentials");
        assert!(value.contains("nonce=\"2\"") && value.contains("algorithm=SHA-256, qop=auth, nc=00000001"), "{value}");
        assert!(value.ends_with("opaque=\"o\""), "{value}");
    }
}
