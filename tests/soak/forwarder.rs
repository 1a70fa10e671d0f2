//! A TCP forwarder, in the place of a Service: new connections go to one of the endpoints in turn, and a connection
//! that exists stays where it is.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::client::dial;

/// A running forwarder; it ends when dropped, with its connections.
pub(crate) struct Forwarder {
    pub(crate) address: SocketAddr,
    endpoints: Arc<Mutex<Vec<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Forwarder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let endpoints = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, Arc::clone(&endpoints)));
        Self { address, endpoints, task }
    }

    pub(crate) fn add(&self, endpoint: SocketAddr) {
        self.endpoints.lock().expect("no panic").push(endpoint);
    }

    pub(crate) fn remove(&self, endpoint: SocketAddr) {
        self.endpoints.lock().expect("no panic").retain(|is| *is != endpoint);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, endpoints: Arc<Mutex<Vec<SocketAddr>>>) {
    let mut connections = tokio::task::JoinSet::new();
    let mut turn = 0;
    loop {
        let Ok((mut client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        turn += 1;
        let endpoint = {
            let endpoints = endpoints.lock().expect("no panic");
            if endpoints.is_empty() { None } else { Some(endpoints[turn % endpoints.len()]) }
        };
        connections.spawn(async move {
            // Where nobody listens the client is hung up on: there is nothing that a forwarder could say.
            let Some(endpoint) = endpoint else { return };
            let Ok(mut server) = dial(endpoint).await else { return };
            drop(client.set_nodelay(true));
            drop(copy_bidirectional(&mut client, &mut server).await);
        });
    }
}
