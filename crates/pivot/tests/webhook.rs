//! A webhook over real connections: what is sent, what is sent again, and what ends it.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use patchcord_pivot::call::words::Decision;
use patchcord_pivot::webhook::{Asked, OnFail, Secret, Settings, Webhook, signature};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const PROCEED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"action\": \"proceed\"}\n";

/// A server that gives each connection the next of these answers, and none to those after them.
async fn serve(answers: Vec<String>, tls: Option<TlsAcceptor>) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, questions) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        let mut silent = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            match (&tls, answers.next()) {
                (None, answer) => silent.extend(talk(stream, answer, &asked).await),
                (Some(tls), answer) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        drop(talk(stream, answer, &asked).await);
                    }
                }
            }
        }
    });
    (address, questions)
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: Option<String>,
    asked: &mpsc::UnboundedSender<String>,
) -> Option<S> {
    let mut request = Vec::new();
    let has_all = |request: &[u8]| {
        let text = String::from_utf8_lossy(request);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())?;
        (body.len() >= len).then_some(())
    };
    while has_all(&request).is_none() {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    let _ = asked.send(String::from_utf8_lossy(&request).into_owned());
    let Some(answer) = answer else { return Some(stream) };
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    None
}

fn settings(place: &str) -> Settings {
    Settings {
        place: place.parse().unwrap(),
        secret: Some(Secret("secret".into())),
        timeout: Duration::from_secs(20),
        deadline: Duration::from_secs(20),
        retries: 2,
        on_fail: OnFail::Refuse,
    }
}

async fn ask(settings: Settings) -> Asked {
    let fields =
        [("From".to_owned(), "sip:+1555@a.example".to_owned()), ("SipHeader_X-A".to_owned(), "b&c".to_owned())];
    Webhook::new(settings, None).ask("d1", &fields).await
}

fn field<'a>(request: &'a str, name: &str) -> &'a str {
    let line = request.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("{name} in {request}")).split_once(": ").unwrap().1
}

#[tokio::test]
async fn each_try_has_the_same_name_and_a_signature_over_what_it_says() {
    let broken = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"action\"".to_owned();
    let down = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned();
    let (address, mut questions) = serve(vec![broken, down, PROCEED.to_owned()], None).await;
    let asked = ask(settings(&format!("http://{address}/refer?x=1"))).await;
    assert_eq!((asked.tries, asked.outcome.unwrap().decision), (3, Decision::Proceed));
    for _ in 0..3 {
        let request = questions.recv().await.unwrap();
        assert!(request.starts_with("POST /refer?x=1 HTTP/1.1\r\n"), "{request}");
        assert_eq!(field(&request, "patchcord-delivery"), "d1");
        assert_eq!(field(&request, "host"), address.to_string());
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "From=sip%3A%2B1555%40a.example&SipHeader_X-A=b%26c");
        let said = field(&request, "patchcord-signature");
        let seconds = said.strip_prefix("t=").unwrap().split_once(',').unwrap().0.parse().unwrap();
        assert_eq!(said, signature("secret", seconds, body));
    }
}

#[tokio::test]
async fn what_would_be_the_same_again_is_asked_once() {
    let fields: String = (0..200).map(|at| format!("X-{at}: 1\r\n")).collect();
    for (answer, why) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned(), "403"),
        (
            "HTTP/1.1 308 Permanent Redirect\r\nLocation: http://b.example/\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "b.example",
        ),
        (format!("HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n{}", " ".repeat(1_048_576)), "65536 bytes"),
        (
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
                format!("1000\r\n{}\r\n", " ".repeat(4096)).repeat(17)
            ),
            "65536 bytes",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), "empty"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(), "action"),
    ] {
        let (address, _questions) = serve(vec![answer, PROCEED.to_owned()], None).await;
        let asked = ask(settings(&format!("http://{address}"))).await;
        let error = asked.outcome.unwrap_err();
        assert!(asked.tries == 1 && error.contains(why), "{} tries: {error}", asked.tries);
    }
    // What is no HTTP, or too much of it, may be another's doing, and is asked again.
    for answer in
        ["SSH-2.0-x\r\n\r\n".to_owned(), format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), "HTTP/1.1 200".to_owned()]
    {
        let (address, _questions) = serve(vec![answer, PROCEED.to_owned()], None).await;
        let asked = ask(settings(&format!("http://{address}"))).await;
        assert_eq!((asked.tries, asked.outcome.unwrap().decision), (2, Decision::Proceed));
    }
}

#[tokio::test]
async fn it_is_over_by_its_deadline() {
    // Nobody listens there any more.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let asked = ask(Settings { retries: 1, ..settings(&format!("http://{nobody}")) }).await;
    let error = asked.outcome.unwrap_err();
    assert!(asked.tries == 2 && error.contains("no connection"), "{error}");

    let (address, mut questions) = serve(Vec::new(), None).await;
    let short = Duration::from_millis(50);
    let hasty = Settings { timeout: short, deadline: short, retries: 9, ..settings(&format!("http://{address}")) };
    let began = Instant::now();
    let asked = ask(hasty.clone()).await;
    assert_eq!((asked.tries, &*asked.outcome.unwrap_err()), (1, "no answer within 50 ms"));
    assert!(asked.took >= short && began.elapsed() >= asked.took);
    let _first = questions.recv().await.unwrap();

    // More at a time than there is room for: the next one is asked when one of them is over.
    let (address, mut questions) = serve(Vec::new(), None).await;
    let webhook = Arc::new(Webhook::new(settings(&format!("http://{address}")), None));
    let all = (0..100).map(|_| {
        let webhook = Arc::clone(&webhook);
        tokio::spawn(async move { webhook.ask("d", &[("A".to_owned(), "b".to_owned())]).await })
    });
    let mut all: std::collections::VecDeque<_> = all.collect();
    for _ in 0..64 {
        let _question = questions.recv().await.unwrap();
    }
    for _ in 0..36 {
        assert!(questions.try_recv().is_err(), "64 at a time");
        all.pop_front().unwrap().abort();
        let _question = questions.recv().await.unwrap();
    }
}

#[tokio::test]
async fn a_webhook_is_reached_by_tls_if_somebody_vouches_for_it() {
    let folder = std::env::temp_dir().join(format!("patchcord-webhook-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=hook",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout".as_ref(), key.as_os_str(), "-out".as_ref(), chain.as_os_str()])
        .output()
        .expect("openssl runs: apt-get install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let certificate = CertificateDer::from_pem_file(&chain).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], PrivateKeyDer::from_pem_file(&key).unwrap())
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    for is_known in [true, false] {
        let mut roots = RootCertStore::empty();
        if is_known {
            roots.add(certificate.clone()).unwrap();
        }
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (address, _questions) = serve(vec![PROCEED.to_owned()], Some(acceptor.clone())).await;
        let settings = Settings { retries: 0, ..settings(&format!("https://localhost:{}/", address.port())) };
        let webhook = Webhook::new(settings, Some(TlsConnector::from(Arc::new(client))));
        // A form is never empty: `serve` waits for its length.
        let outcome = webhook.ask("d", &[("A".to_owned(), "b".to_owned())]).await.outcome;
        if is_known {
            assert_eq!(outcome.unwrap().decision, Decision::Proceed);
        } else {
            let error = outcome.unwrap_err();
            assert!(error.contains("certificate"), "{error}");
        }
    }
    // And it is not asked in the clear.
    let (address, _questions) = serve(vec![PROCEED.to_owned()], None).await;
    let error = ask(settings(&format!("https://{address}/"))).await.outcome.unwrap_err();
    assert!(error.contains("no TLS"), "{error}");
}
