//! The home network's own names, derived from its PLMN (TS 23.003 §13).

use super::{Impi, Impu};
use std::fmt;

/// A public land mobile network: country and network code.
///
/// An MNC of two digits and the same one with a zero in front are different networks with the same domain names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plmn {
    mcc: String,
    mnc: String,
}

/// Which code is not made of the right number of digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlmnError {
    /// The mobile country code: three digits.
    Mcc,
    /// The mobile network code: two or three digits.
    Mnc,
}

impl fmt::Display for PlmnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PlmnError::Mcc => "a mobile country code has three digits",
            PlmnError::Mnc => "a mobile network code has two or three digits",
        })
    }
}

impl Plmn {
    /// The network with these codes.
    pub fn new(mcc: &str, mnc: &str) -> Result<Plmn, PlmnError> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if mcc.len() != 3 || !digits(mcc) {
            return Err(PlmnError::Mcc);
        }
        if !(2..=3).contains(&mnc.len()) || !digits(mnc) {
            return Err(PlmnError::Mnc);
        }
        Ok(Plmn { mcc: mcc.to_owned(), mnc: mnc.to_owned() })
    }

    /// The test network 001/01.
    pub fn test() -> Plmn {
        Plmn { mcc: "001".to_owned(), mnc: "01".to_owned() }
    }

    /// The mobile country code.
    pub fn mcc(&self) -> &str {
        &self.mcc
    }

    /// The mobile network code with its own number of digits.
    pub fn mnc(&self) -> &str {
        &self.mnc
    }

    /// The IMSI of the subscriber with this number in the network: 15 digits (TS 23.003 §2.2).
    pub fn imsi(&self, msin: u64) -> String {
        let msin_digits = 15 - self.mcc.len() - self.mnc.len();
        format!("{}{}{msin:0msin_digits$}", self.mcc, self.mnc)
    }
}

/// The home network: its PLMN, its domain, its Diameter realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeNetwork {
    plmn: Plmn,
    domain: String,
    realm: String,
}

impl HomeNetwork {
    /// The names that TS 23.003 §13.2 derives from a PLMN.
    pub fn of(plmn: &Plmn) -> HomeNetwork {
        let domain = format!("ims.mnc{:0>3}.mcc{}.3gppnetwork.org", plmn.mnc, plmn.mcc);
        HomeNetwork { plmn: plmn.clone(), realm: domain.clone(), domain }
    }

    /// The same network under names of its own.
    pub fn with_names(self, domain: String, realm: String) -> HomeNetwork {
        HomeNetwork { domain, realm, ..self }
    }

    /// The PLMN.
    pub fn plmn(&self) -> &Plmn {
        &self.plmn
    }

    /// The home network domain name, in lower case.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The Diameter realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The host name of a function: `pcscf.` and the domain.
    pub fn host(&self, function: &str) -> String {
        format!("{function}.{}", self.domain)
    }

    /// The Request-URI of a REGISTER: the domain without a user.
    pub fn registrar(&self) -> String {
        format!("sip:{}", self.domain)
    }

    /// Whether a host of a URI is this network's domain.
    pub fn is_domain(&self, host: &[u8]) -> bool {
        host.eq_ignore_ascii_case(self.domain.as_bytes())
    }

    /// The private identity of a subscriber without ISIM (TS 23.003 §13.3).
    pub fn impi(&self, imsi: &str) -> Impi {
        Impi(format!("{imsi}@{}", self.domain))
    }

    /// The temporary public identity of a subscriber without ISIM: only to register with (TS 23.003 §13.4B).
    pub fn temporary_impu(&self, imsi: &str) -> Impu {
        Impu(format!("sip:{imsi}@{}", self.domain))
    }

    /// The SIP identity of a user of this network; `None` when `user` is no user part.
    pub fn sip_impu(&self, user: &str) -> Option<Impu> {
        Impu::parse(format!("sip:{user}@{}", self.domain).as_bytes())
    }

    /// The tel identity of a subscriber's number, given with or without its `+`; `None` when it is no number.
    pub fn tel_impu(&self, msisdn: &str) -> Option<Impu> {
        Impu::parse(format!("tel:+{}", msisdn.trim_start_matches('+')).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_derived_from_the_plmn() {
        for (mcc, mnc, domain) in [
            ("001", "01", "ims.mnc001.mcc001.3gppnetwork.org"),
            ("001", "001", "ims.mnc001.mcc001.3gppnetwork.org"),
            ("310", "410", "ims.mnc410.mcc310.3gppnetwork.org"),
        ] {
            let home = HomeNetwork::of(&Plmn::new(mcc, mnc).expect("digits"));
            assert_eq!(home.domain(), domain);
            assert_eq!(home.host("pcscf"), format!("pcscf.{domain}"));
        }
    }

    #[test]
    fn an_mnc_of_two_digits_and_one_of_three_split_the_imsi_differently() {
        let two = Plmn::new("001", "01").expect("digits");
        let three = Plmn::new("001", "001").expect("digits");
        assert_eq!(two.imsi(1), "001010000000001");
        assert_eq!(three.imsi(1), "001001000000001");
    }

    #[test]
    fn codes_that_are_no_digits_or_too_many_are_refused() {
        assert_eq!(Plmn::new("1", "01"), Err(PlmnError::Mcc));
        assert_eq!(Plmn::new("00a", "01"), Err(PlmnError::Mcc));
        assert_eq!(Plmn::new("001", "1"), Err(PlmnError::Mnc));
        assert_eq!(Plmn::new("001", "0001"), Err(PlmnError::Mnc));
    }

    #[test]
    fn a_subscriber_without_isim_gets_its_identities_from_the_imsi() {
        let home = HomeNetwork::of(&Plmn::test());
        let imsi = home.plmn().imsi(7);
        assert_eq!(home.impi(&imsi).as_str(), "001010000000007@ims.mnc001.mcc001.3gppnetwork.org");
        let temporary = home.temporary_impu(&imsi);
        assert_eq!(temporary.as_str(), "sip:001010000000007@ims.mnc001.mcc001.3gppnetwork.org");
        assert_eq!(temporary.derived_impi(), home.impi(&imsi));
        assert_eq!(home.tel_impu("49301"), home.tel_impu("+49301"));
        assert_eq!(home.tel_impu("alice"), None);
    }
}
