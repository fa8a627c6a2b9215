//! Audio from a URL: fetched once, before it is used, from hosts that the configuration allows.
//!
//! The server stands in its operator's network and fetches what a client of its API asks for. So no host is allowed but those that the
//! operator names, each by itself and with its port, whatever a redirection says.

use core::time::Duration;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use patchcord_codec::prompt::Format;
use ureq::http::Uri;
use ureq::http::header::{CONTENT_TYPE, LOCATION};

use crate::error::{ApiError, ErrorCode};
use crate::tls::tls_config;

/// The most bytes of an upload, and of what is fetched.
pub(crate) const AUDIO_LEN_MAX: usize = 32 << 20;
/// How long all of it may take, redirections included.
const TIME_MAX: Duration = Duration::from_secs(30);
const REDIRECTIONS_MAX: usize = 5;

/// Where audio may be fetched from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// `HOST`, for the port that its scheme has, or `HOST:PORT`.
    pub(crate) hosts: Vec<String>,
    /// A PEM file that vouches for servers of https, read for each of them; `None`: the system does.
    pub(crate) ca: Option<PathBuf>,
}

/// What was fetched, and the format it is said to be in.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) format: Option<Format>,
}

/// Fetches a URL. It blocks.
///
/// # Errors
/// It is none that may be fetched, or what it names cannot be had.
pub(crate) fn fetch(url: &str, places: &Places) -> Result<Fetched, ApiError> {
    fetch_within(url, places, TIME_MAX)
}

fn fetch_within(url: &str, places: &Places, time_max: Duration) -> Result<Fetched, ApiError> {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        // Each hop is judged.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent("patchcord")
        .build()
        .new_agent();
    let end = Instant::now() + time_max;
    let mut uri = parse(url)?;
    for _ in 0..=REDIRECTIONS_MAX {
        must_be_allowed(&uri, &places.hosts)?;
        let failed = |why: String| ApiError::new(ErrorCode::FetchFailed, format!("{uri} cannot be fetched: {why}"));
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut request = agent.get(uri.clone()).config().timeout_global(Some(left));
        if is_secure(&uri) {
            request = request.tls_config(tls_config(places.ca.as_deref()).map_err(failed)?);
        }
        let mut response = request.build().call().map_err(|error| failed(error.to_string()))?;
        let status = response.status();
        if status.is_redirection() {
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let location = location.ok_or_else(|| failed(format!("it answers {status} and names no other place")))?;
            let next = parse(&resolved(&uri, location))?;
            if is_secure(&uri) && !is_secure(&next) {
                let message = format!("{uri} cannot be fetched: it leads down to http, to {next}");
                return Err(ApiError::new(ErrorCode::FetchRefused, message));
            }
            uri = next;
            continue;
        }
        if !status.is_success() {
            return Err(failed(format!("it answers {status}")));
        }
        let header = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // Servers call files what they like; an extension says as much.
        let format = Format::of_content_type(header).ok().flatten().or_else(|| Format::of_path(Path::new(uri.path())));
        let mut bytes = Vec::new();
        let mut body = response.body_mut().as_reader().take(AUDIO_LEN_MAX as u64 + 1);
        body.read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
        if bytes.len() > AUDIO_LEN_MAX {
            let message = format!("{uri} has more than the {AUDIO_LEN_MAX} bytes that are read");
            return Err(ApiError::new(ErrorCode::TooLarge, message));
        }
        return Ok(Fetched { bytes, format });
    }
    let message = format!("{url} cannot be fetched: it leads to other places more than {REDIRECTIONS_MAX} times");
    Err(ApiError::new(ErrorCode::FetchFailed, message))
}

fn parse(url: &str) -> Result<Uri, ApiError> {
    let bad = |why: String| ApiError::new(ErrorCode::BadRequest, format!("{url:?}: {why}"));
    let uri: Uri = url.parse().map_err(|error| bad(format!("it is no URL: {error}")))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(bad("a URL to fetch begins with http:// or https://".to_owned())),
    }
    match uri.authority() {
        Some(authority) if !authority.as_str().contains('@') && !authority.host().is_empty() => Ok(uri),
        _ => Err(bad("it must name a host, without a user".to_owned())),
    }
}

fn must_be_allowed(uri: &Uri, allowed: &[String]) -> Result<(), ApiError> {
    let usual = if is_secure(uri) { 443 } else { 80 };
    let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(usual));
    let with_port = format!("{host}:{port}");
    let is =
        |entry: &String| entry.eq_ignore_ascii_case(&with_port) || (port == usual && entry.eq_ignore_ascii_case(host));
    if allowed.iter().any(is) {
        return Ok(());
    }
    let entry = if port == usual { host } else { &with_port };
    let message = format!("this server fetches nothing from {entry}: add \"{entry}\" to its `audio.fetch_from`");
    Err(ApiError::new(ErrorCode::FetchRefused, message))
}

fn is_secure(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// Where a redirection leads (RFC 9110 10.2.2): a whole URL, or another path of the same host.
fn resolved(from: &Uri, location: &str) -> String {
    let authority = from.authority().map_or("", |authority| authority.as_str());
    let scheme = from.scheme_str().unwrap_or("http");
    if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;

    use super::*;

    /// A web server for so many requests; `answer` writes to a connection whose request for a path was read.
    fn serve(
        requests: usize,
        answer: impl Fn(&str, &mut TcpStream) + Send + 'static,
    ) -> (SocketAddr, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let thread = thread::spawn(move || {
            for _ in 0..requests {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).expect("a request");
                    request.push(byte[0]);
                }
                let request = String::from_utf8(request).expect("text");
                let path = request.split(' ').nth(1).expect("a path").to_owned();
                answer(&path, &mut stream);
            }
        });
        (address, thread)
    }

    fn places(hosts: &[&str]) -> Places {
        Places { hosts: hosts.iter().copied().map(str::to_owned).collect(), ca: None }
    }

    fn ok(stream: &mut TcpStream, content_type: &str, body: &[u8]) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).expect("it is read");
    }

    #[test]
    fn what_is_fetched_is_told_by_its_type_or_its_name() {
        let (address, server) = serve(3, |path, stream| match path {
            "/old/place" => {
                stream
                    .write_all(b"HTTP/1.1 302 Found\r\nLocation: a.ulaw\r\nContent-Length: 0\r\n\r\n")
                    .expect("it is read");
            }
            "/old/a.ulaw" => ok(stream, "text/plain", b"abc"),
            path => ok(stream, "audio/PCMA", path.as_bytes()),
        });
        let allowed = places(&[&address.to_string()]);
        let fetched = fetch(&format!("http://{address}/old/place"), &allowed).expect("it is there");
        assert_eq!((&fetched.bytes[..], fetched.format), (&b"abc"[..], Format::of_path(Path::new("a.ulaw"))));
        let fetched = fetch(&format!("http://{address}/x"), &allowed).expect("it is there");
        assert_eq!((&fetched.bytes[..], fetched.format), (&b"/x"[..], Format::of_path(Path::new("a.alaw"))));
        server.join().expect("all was asked for");
    }

    #[test]
    fn a_url_without_end_is_cut() {
        let (address, server) = serve(1, |_, stream| {
            let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while written.is_ok() {
                written = stream.write_all(&[0; 65_536]);
            }
        });
        let error =
            fetch(&format!("http://{address}/zero"), &places(&[&address.to_string()])).expect_err("without end");
        assert_eq!(error.code, ErrorCode::TooLarge);
        server.join().expect("it was hung up on");
    }

    #[test]
    fn a_server_that_says_nothing_is_not_waited_for() {
        let (address, server) = serve(1, |_, stream| {
            // Until the other side gives up.
            let _ended = stream.read(&mut [0]);
        });
        let time = Duration::from_millis(200);
        let error =
            fetch_within(&format!("http://{address}/"), &places(&[&address.to_string()]), time).expect_err("no answer");
        assert_eq!(error.code, ErrorCode::FetchFailed);
        assert!(error.message.contains("timeout"), "{error}");
        server.join().expect("it was hung up on");
    }

    #[test]
    fn only_hosts_that_are_allowed_are_asked_whatever_a_redirection_says() {
        let (address, server) = serve(7, |path, stream| {
            let to = if path == "/in" { "http://127.0.0.1:1/secret" } else { "/round" };
            let head = format!("HTTP/1.1 301 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("it is read");
        });
        let allowed = places(&[&address.to_string()]);
        let error = fetch(&format!("http://{address}/in"), &allowed).expect_err("not allowed");
        assert_eq!(error.code, ErrorCode::FetchRefused);
        assert!(error.message.contains("\"127.0.0.1:1\"") && error.message.contains("audio.fetch_from"), "{error}");
        let error = fetch(&format!("http://{address}/round"), &allowed).expect_err("in a circle");
        assert!(error.message.contains("more than 5 times"), "{error}");
        server.join().expect("all was asked for");
        for (url, code) in [
            ("http://10.0.0.1/", ErrorCode::FetchRefused),
            ("http://allowed@10.0.0.1/", ErrorCode::BadRequest),
            ("https://10.0.0.1/", ErrorCode::FetchRefused),
            ("https://allowed:80/", ErrorCode::FetchRefused),
            ("http://allowed:443/", ErrorCode::FetchRefused),
            ("ftp://allowed/", ErrorCode::BadRequest),
            ("file:///etc/passwd", ErrorCode::BadRequest),
            ("http://allowed:81/", ErrorCode::FetchRefused),
            ("allowed", ErrorCode::BadRequest),
            ("", ErrorCode::BadRequest),
        ] {
            assert_eq!(fetch(url, &places(&["allowed"])).expect_err("not allowed").code, code, "{url}");
        }
    }

    #[test]
    fn a_redirection_keeps_its_scheme_and_the_usual_port_is_the_schemes() {
        let from: Uri = "https://a.example/x/y".parse().expect("a URL");
        for (location, leads) in [
            ("//b.example/z", "https://b.example/z"),
            ("/z", "https://a.example/z"),
            ("z", "https://a.example/x/z"),
            ("http://a.example/z", "http://a.example/z"),
        ] {
            assert_eq!(resolved(&from, location), leads);
        }
        let allowed = ["a.example".to_owned(), "b.example:8443".to_owned()];
        for (url, is) in [
            ("https://a.example/", true),
            ("https://a.example:443/", true),
            ("http://a.example/", true),
            ("https://b.example:8443/", true),
            ("https://b.example/", false),
            ("https://a.example:8443/", false),
        ] {
            assert_eq!(must_be_allowed(&parse(url).expect("a URL"), &allowed).is_ok(), is, "{url}");
        }
    }

    #[test]
    fn an_error_of_the_server_is_told() {
        let (address, server) = serve(1, |_, stream| {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").expect("it is read");
        });
        let error =
            fetch(&format!("http://{address}/"), &places(&[&address.to_string()])).expect_err("it is not there");
        assert!(error.message.contains("404"), "{error}");
        server.join().expect("all was asked for");
    }
}
