//! URIs: what is read, what is refused, and what is equal (RFC 3261 §19.1, RFC 3966).

use sip_core::uri::{Host, Uri, UriError, unescape};

fn parse(text: &str) -> Uri<'_> {
    Uri::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn canonical(text: &str) -> String {
    let mut out = Vec::new();
    parse(text).canonical_aor(&mut out);
    String::from_utf8(out).expect("ASCII")
}

#[test]
fn a_sip_uri_comes_apart() {
    let uri = parse("sips:al;day=mon%20:pw@Example.COM:5061;lr;transport=tcp?subject=x&to=y");
    let sip = uri.sip().unwrap();
    assert!(sip.secure);
    assert_eq!(sip.user, Some(&b"al;day=mon%20"[..]));
    assert_eq!(sip.password, Some(&b"pw"[..]));
    assert_eq!(sip.host, Host::Name(b"Example.COM"));
    assert_eq!(sip.port, Some(5061));
    assert_eq!(uri.param(b"LR"), Some(&b""[..]));
    assert_eq!(uri.param(b"transport"), Some(&b"tcp"[..]));
    assert_eq!(sip.headers, Some(&b"subject=x&to=y"[..]));
}

#[test]
fn addresses_are_read_in_both_families() {
    assert_eq!(parse("sip:[2001:db8::1]:5060").host().unwrap().ip(), Some("2001:db8::1".parse().unwrap()));
    assert_eq!(parse("sip:a@192.0.2.1;lr").host().unwrap().ip(), Some("192.0.2.1".parse().unwrap()));
    assert_eq!(parse("sip:1.example").host().unwrap(), Host::Name(b"1.example"));
}

#[test]
fn other_schemes_keep_what_they_say() {
    assert_eq!(parse("urn:service:sos"), Uri::Urn(b"service:sos"));
    assert_eq!(parse("h323:a"), Uri::Other { scheme: b"h323", rest: b"a" });
    let Uri::Tel(tel) = parse("tel:863-1234;phone-context=+1-914-555") else { panic!("a telephone number") };
    assert!(!tel.is_global());
    assert_eq!(tel.params.get(b"phone-context"), Some(&b"+1-914-555"[..]));
}

#[test]
fn broken_uris_are_refused_by_part() {
    let cases = [
        ("alice@example.com", UriError::Scheme),
        ("1sip:a", UriError::Scheme),
        ("", UriError::Scheme),
        ("sip:@h", UriError::User),
        ("sip:a b@h", UriError::User),
        ("sip:a%4@h", UriError::User),
        ("sip:", UriError::Host),
        ("sip:a@", UriError::Host),
        ("sip:[2001:db8::1", UriError::Host),
        ("sip:[2001:db8:::1]", UriError::Host),
        ("sip:256.0.0.1", UriError::Host),
        ("sip:h/x", UriError::Host),
        ("sip:h:", UriError::Port),
        ("sip:h:65536", UriError::Port),
        ("sip:2001:db8::10", UriError::Host),
        ("sip:h;a=\"q\"", UriError::Params),
        ("sip:h ", UriError::Host),
        ("tel:+", UriError::Number),
        ("tel:+1a", UriError::Number),
        ("urn:", UriError::Params),
    ];
    for (text, error) in cases {
        assert_eq!(Uri::parse(text.as_bytes()), Err(error), "{text}");
    }
}

/// The examples of RFC 3261 §19.1.4.
#[test]
fn equality_is_that_of_rfc_3261() {
    let equal = [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:[2001:DB8::1]", "sip:[2001:db8:0::1]"),
        ("sip:h;a=1;a=2", "sip:h;a=1;a=2"),
    ];
    let different = [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@h", "sips:a@h"),
        ("sip:a@h", "sip:h"),
    ];
    for (a, b) in equal {
        assert!(parse(a).uri_eq(&parse(b)) && parse(b).uri_eq(&parse(a)), "{a} = {b}");
    }
    for (a, b) in different {
        assert!(!parse(a).uri_eq(&parse(b)) && !parse(b).uri_eq(&parse(a)), "{a} != {b}");
    }
}

#[test]
fn telephone_numbers_are_equal_whatever_separates_their_digits() {
    assert!(parse("tel:+1-201-555-0123").uri_eq(&parse("TEL:+1(201)555.0123")));
    assert!(parse("tel:12;isub=1;phone-context=x.org").uri_eq(&parse("tel:1-2;phone-context=X.org;isub=1")));
    assert!(!parse("tel:12;phone-context=a.org").uri_eq(&parse("tel:12;phone-context=b.org")));
    assert!(!parse("tel:+12").uri_eq(&parse("tel:12")));
    assert!(!parse("tel:+12").uri_eq(&parse("sip:+12@h;user=phone")));
}

#[test]
fn the_canonical_form_drops_what_does_not_name_the_user() {
    assert_eq!(canonical("SIP:Al%69ce:pw@Home1.NET:5060;user=phone?a=b"), "sip:Alice@home1.net");
    assert_eq!(canonical("sip:a%40b%2fc%e9@h"), "sip:a%40b/c%E9@h");
    assert_eq!(canonical("sip:[2001:DB8::0:1]:5060"), "sip:[2001:db8::1]");
    assert_eq!(canonical("tel:+1-(201).555;ext=1"), "tel:+1201555");
    assert_eq!(canonical("tel:1A2;phone-context=Home1.NET"), "tel:1a2;phone-context=home1.net");
    assert_eq!(canonical("URN:service:SOS"), "urn:service:sos");
}

#[test]
fn a_broken_escape_stays_as_it_is() {
    assert_eq!(unescape(b"%41%4").as_ref(), b"A%4");
    assert_eq!(unescape(b"plain").as_ref(), b"plain");
}

/// The oracle is the standard library's own reader.
#[test]
fn an_ipv4_address_is_read_as_everywhere() {
    for text in [
        "0.0.0.0",
        "255.255.255.255",
        "192.0.2.1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.00",
        "1..2.3",
        ".1.2.3",
        "1.2.3.",
        "1.2.3.1000",
        "1",
        "....",
    ] {
        let expected = text.parse::<std::net::Ipv4Addr>().ok();
        let read = sip_core::Host::parse(text.as_bytes()).and_then(|host| host.ip());
        assert_eq!(read, expected.map(std::net::IpAddr::V4), "{text}");
    }
}
