//! `ims psap`: a stand-in for a PSAP, which answers calls for help and tells what it got.

use crate::arguments::Psap;
use crate::core::{check, entropy, spawn};
use crate::exit::Failure;
use crate::{screen, settings};
use cscf::assembly;
use cscf::flow::{Local, Transport};
use shell::{Binding, Clock, Setup, Sockets};
use std::time::Duration;
use ue::psap::{Emergency, Notice, SIDE};

/// Carries out `ims psap`: answers until `is_asked_to_stop` says so.
pub fn run(psap: &Psap, is_asked_to_stop: impl Fn() -> bool) -> Result<(), Failure> {
    let config = settings::read(psap.config.as_deref())?;
    let local = |transport| Local { side: SIDE, transport, address: psap.listen };
    let locals = [Transport::Udp, Transport::Tcp].map(local);
    let sockets = Sockets::bind(locals.iter().map(Binding::from));
    let sockets = sockets.map_err(|error| Failure::Failed(error.to_string()))?;
    let role = ue::psap::Psap::default();
    let station = assembly::sip_station(role, &config, locals.to_vec(), None, entropy()?);
    let handle = spawn("psap", station, Setup::new(sockets, Clock::start(), entropy()?))?;
    screen::line(format_args!("a PSAP answers at {}", psap.listen));
    while !is_asked_to_stop() {
        if let Ok(notice) = handle.notices.recv_timeout(LOOK) {
            screen::line(told(&notice));
        }
        if handle.is_finished() {
            break;
        }
    }
    handle.drain();
    check(handle.join())
}

/// What happened, as lines.
fn told(notice: &Notice) -> String {
    match notice {
        Notice::Call(emergency) => format!("a call for {}", got(emergency)),
        Notice::Text(emergency) => format!("a text for {}", got(emergency)),
        Notice::Established => "a call is established".to_owned(),
        Notice::Ended => "a call has ended".to_owned(),
    }
}

fn got(emergency: &Emergency) -> String {
    let Emergency { service, callers, from, access, geolocation, pidf } = emergency;
    let known = |values: &[String], none: &str| {
        if values.is_empty() { none.to_owned() } else { values.join(", ") }
    };
    let mut text = format!("{service}\n  caller    {}\n  From      {from}", known(callers, "nobody knows"));
    text.push_str(&format!("\n  access    {}", known(access, "-")));
    text.push_str(&format!("\n  location  {}", known(geolocation, "-")));
    if let Some(pidf) = pidf {
        text.push_str(&format!("\n{pidf}"));
    }
    text
}

/// How often somebody looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_told_with_who_where_and_for_what() {
        let emergency = Emergency {
            service: "urn:service:sos".to_owned(),
            callers: Vec::new(),
            from: "<sip:anonymous@anonymous.invalid>".to_owned(),
            access: vec!["3GPP-NR;utran-cell-id-3gpp=1".to_owned()],
            geolocation: Vec::new(),
            pidf: Some("<presence/>".to_owned()),
        };
        assert_eq!(
            told(&Notice::Call(Box::new(emergency))),
            "a call for urn:service:sos\n  caller    nobody knows\n  From      <sip:anonymous@anonymous.invalid>\n  \
             access    3GPP-NR;utran-cell-id-3gpp=1\n  location  -\n<presence/>"
        );
    }
}
