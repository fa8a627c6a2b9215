//! TLS before a server that has none, which can be cut off and be there again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use patchcord_tests::Pair;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The front. Dropping it ends it.
pub(crate) struct TlsFront {
    address: SocketAddr,
    is_cut: watch::Sender<bool>,
}

impl TlsFront {
    /// Shows this certificate, and passes on what comes to `to`.
    pub(crate) fn start(pair: &Pair, to: SocketAddr) -> Self {
        let chain = CertificateDer::pem_file_iter(&pair.chain).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (is_cut, cut) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        thread::spawn(move || runtime.block_on(serve(listener, acceptor, to, cut)));
        Self { address, is_cut }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Nothing passes any more.
    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// New connections pass.
    pub(crate) fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, to: SocketAddr, cut: watch::Receiver<bool>) {
    let listener = TcpListener::from_std(listener).unwrap();
    let mut gone = cut.clone();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            // The front is dropped.
            _ = gone.wait_for(|_| false) => return,
        };
        let (acceptor, mut cut) = (acceptor.clone(), cut.clone());
        if *cut.borrow() {
            continue;
        }
        tokio::spawn(async move {
            let passes = async {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let Ok(mut server) = TcpStream::connect(to).await else { return };
                // Either side may break off.
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            };
            tokio::select! {
                () = passes => {}
                _ = cut.wait_for(|is_cut| *is_cut) => {}
            }
        });
    }
}
