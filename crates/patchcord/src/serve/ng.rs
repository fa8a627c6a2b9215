//! The ng front's listeners.

use std::net::SocketAddr;
use std::sync::Arc;

use patchcord_control::Control;
use patchcord_control::ng::Ng;
use patchcord_control::ng::listen::{Server, bind_udp, bind_unix};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::convert;
use crate::config::{Config, Listen};
use crate::failure::Failure;

/// Listeners that run until they are dropped.
pub(super) struct Listeners {
    pub(super) tasks: JoinSet<()>,
    /// What answers; the HTTP front has it too.
    pub(super) server: Arc<Server<Ng>>,
    /// Where they listen, ports that were chosen included.
    pub(super) places: Vec<Listen>,
}

/// Opens everything that `ng.listen` names.
pub(super) async fn listen(config: &Config, control: &Control) -> Result<Listeners, Failure> {
    let server = Server::new(Ng::new(control.clone(), convert::ng(config)));
    let mut listeners = Listeners { tasks: JoinSet::new(), server: Arc::clone(&server), places: Vec::new() };
    for place in &config.ng.listen {
        if !place.is_local() {
            tracing::warn!(%place, "ng knows no password: whoever reaches this address controls all calls; keep it behind a firewall");
        }
        let opened = open(place, &server, &mut listeners.tasks).await.map_err(|error| {
            Failure::failed(format!(
                "cannot listen for ng on {place}: {error}; is another relay running? choose another address with --ng"
            ))
        })?;
        listeners.places.push(opened);
    }
    Ok(listeners)
}

async fn open(place: &Listen, server: &Arc<Server<Ng>>, tasks: &mut JoinSet<()>) -> std::io::Result<Listen> {
    let server = Arc::clone(server);
    Ok(match place {
        Listen::Udp(address) => {
            let socket = bind_udp(*address).await?;
            let address = socket.local_addr()?;
            tasks.spawn(async move { ended(address, server.udp(socket).await) });
            Listen::Udp(address)
        }
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            tasks.spawn(server.tcp(listener));
            Listen::Tcp(address)
        }
        Listen::Unix(path) => {
            let socket = bind_unix(path).await?;
            tasks.spawn(server.unix(socket));
            Listen::Unix(path.clone())
        }
        Listen::Http(address) => {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            tasks.spawn(async move { ended(address, server.http(listener).await) });
            Listen::Http(address)
        }
    })
}

fn ended(address: SocketAddr, result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%address, %error, "the ng listener is broken");
    }
}
