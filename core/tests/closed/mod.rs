//! A port that refuses each connection.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// Binds a port and does not listen there. As long as the socket lives, nothing else gets the port.
pub(crate) fn port() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}
