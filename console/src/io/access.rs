//! Who may use a console: on loopback whoever is on this host, elsewhere who knows the token.
//!
//! A page of another origin must not command the core through the browser of its operator: the Host must be ours, which a
//! name that was pointed here is not, and what changes something is JSON, which another origin may not send unasked.

use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, StatusCode};
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

/// Who may use it.
#[derive(Debug)]
pub struct Access {
    token: Option<String>,
}

impl Access {
    /// Whoever reaches loopback. For another address, see [`Access::by_token`].
    pub fn of_this_host() -> Access {
        Access { token: None }
    }

    /// Who knows this token: random, and never one that came with the program.
    pub fn by_token(token: String) -> Access {
        Access { token: Some(token) }
    }

    /// What `address` needs: a token made of `random`, unless nobody else reaches it.
    pub fn for_address(address: SocketAddr, random: [u8; 16]) -> Access {
        match address.ip().is_loopback() {
            true => Access::of_this_host(),
            false => Access::by_token(random.iter().map(|octet| format!("{octet:02x}")).collect()),
        }
    }

    /// The token, for the one who started the program.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Whether a request of the interface is let in.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        match &self.token {
            None => match headers.get(HOST).and_then(|host| host.to_str().ok()).is_some_and(is_loopback) {
                true => Ok(()),
                false => Err((
                    StatusCode::FORBIDDEN,
                    "this console is for its own host: open it by its loopback address",
                )),
            },
            Some(token) => {
                let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
                let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
                match bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
                    true => Ok(()),
                    false => Err((
                        StatusCode::UNAUTHORIZED,
                        "the token is wrong or missing: open the address that was printed at start",
                    )),
                }
            }
        }
    }
}

/// Whether a Host is a loopback address, or the name of one.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a value"));
        headers
    }

    #[test]
    fn a_name_that_was_pointed_at_loopback_is_refused() {
        let access = Access::of_this_host();
        for host in ["127.0.0.1:8090", "localhost:8090", "[::1]:8090", "127.0.0.9", "LOCALHOST"] {
            assert!(access.check(&headers(HOST, host)).is_ok(), "{host}");
        }
        for host in ["evil.example:8090", "192.0.2.1:8090", "localhost.evil.example", ""] {
            assert!(access.check(&headers(HOST, host)).is_err(), "{host}");
        }
        assert!(access.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn any_other_address_wants_a_token_and_no_two_are_alike() {
        let elsewhere = SocketAddr::from(([0, 0, 0, 0], 8090));
        let access = Access::for_address(elsewhere, [7; 16]);
        let token = access.token().expect("a token").to_owned();
        assert_ne!(Access::for_address(elsewhere, [8; 16]).token(), Some(token.as_str()));
        assert!(Access::for_address(([127, 0, 0, 1], 1).into(), [7; 16]).token().is_none());
        assert!(access.check(&headers(AUTHORIZATION, &format!("Bearer {token}"))).is_ok());
        for wrong in ["Bearer ", "Bearer 07", "Basic x", &token] {
            let refused = access.check(&headers(AUTHORIZATION, wrong)).expect_err(wrong);
            assert_eq!(refused.0, StatusCode::UNAUTHORIZED);
        }
        assert!(access.check(&headers(HOST, "127.0.0.1")).is_err(), "loopback as a name does not help");
    }
}
