//! Who may use a console: on loopback whoever is on this host, elsewhere who knows the token.
//!
//! A page of another origin must not command the core through the browser of its operator: the Host must be ours, which a
//! name that was pointed here is not; the Origin, which a browser says by itself, must be that Host; and what changes
//! something is JSON, which another origin may not send unasked.

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
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
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        if !is_of_this_site(headers, host) {
            return Err((StatusCode::FORBIDDEN, "a page of another site has asked this"));
        }
        match &self.token {
            None => match host.is_some_and(is_loopback) {
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

/// Whether nothing says that a page of another site asks. What is no browser says nothing of it.
fn is_of_this_site(headers: &HeaderMap, host: Option<&str>) -> bool {
    // W3C Fetch Metadata: `none` is a person who typed the address.
    let site = headers.get(FETCH_SITE).is_none_or(|site| site == "same-origin" || site == "none");
    let origin = headers.get(ORIGIN).is_none_or(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let authority = origin.map(|(_, authority)| authority);
        authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
    });
    site && origin
}

const FETCH_SITE: &str = "sec-fetch-site";

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
    fn a_page_of_another_site_is_refused_with_or_without_the_token() {
        let asks = |access: &Access, extra: &[(&'static str, &str)]| {
            let mut headers = headers(HOST, "127.0.0.1:8090");
            headers.insert(AUTHORIZATION, "Bearer known".parse().expect("a value"));
            for (name, value) in extra {
                headers.insert(*name, value.parse().expect("a value"));
            }
            access.check(&headers).is_ok()
        };
        for access in [Access::of_this_host(), Access::by_token("known".to_owned())] {
            assert!(asks(&access, &[]));
            assert!(asks(&access, &[("origin", "http://127.0.0.1:8090"), ("sec-fetch-site", "same-origin")]));
            assert!(asks(&access, &[("sec-fetch-site", "none")]));
            for origin in
                ["http://evil.example", "http://127.0.0.1:8091", "http://localhost:8090", "null", ""]
            {
                assert!(!asks(&access, &[("origin", origin)]), "{origin}");
            }
            for site in ["cross-site", "same-site", ""] {
                assert!(!asks(&access, &[("sec-fetch-site", site)]), "{site}");
            }
        }
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
