//! Addresses for one test: a /24 of the loopback network, so that tests beside each other need no free ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// 127.x.y.0/24, taken until it is dropped.
pub struct Loopback {
    octets: [u8; 2],
    /// What keeps another run, in another process, from taking the same network.
    _claim: UdpSocket,
}

/// Where a claim is bound in its network.
const CLAIM: (u8, u16) = (254, 9999);

impl Loopback {
    /// Takes a network that nobody has.
    pub fn take() -> Loopback {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        for _ in 0..1000 {
            let n = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            // 127.0 and 127.1 are where people start things by hand.
            let octets = [2 + (n / 256 % 250) as u8, (n % 256) as u8];
            let (host, port) = CLAIM;
            if let Ok(claim) = UdpSocket::bind((Ipv4Addr::new(127, octets[0], octets[1], host), port)) {
                return Loopback { octets, _claim: claim };
            }
        }
        panic!("no loopback network is free");
    }

    /// An address of the network.
    pub fn host(&self, host: u8) -> IpAddr {
        let [x, y] = self.octets;
        Ipv4Addr::new(127, x, y, host).into()
    }

    /// An address and a port.
    pub fn at(&self, host: u8, port: u16) -> SocketAddr {
        SocketAddr::new(self.host(host), port)
    }
}
