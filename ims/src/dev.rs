//! `ims dev`: a core that stays, and a word on what to do with it.

use crate::arguments::Dev;
use crate::console;
use crate::control;
use crate::core::{Core, CoreSockets, Tracing};
use crate::cscfs::Arrangement;
use crate::exit::Failure;
use crate::roster::{Roster, identities};
use crate::screen;
use crate::settings;
use cscf::config::Config;
use shell::Clock;
use shell::metrics::MetricsSocket;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Carries out `ims dev`: returns once `is_asked_to_stop` says so.
pub fn run(dev: &Dev, is_asked_to_stop: impl Fn() -> bool) -> Result<(), Failure> {
    let config = Arc::new(settings::read(dev.config.as_deref())?);
    // What the environment says goes before it.
    let _ = shell::logging::set_configured(config.log.level, config.log.transactions);
    let roster = Roster::of(&config)?;
    let arrangement = if dev.sockets { Arrangement::Sockets } else { Arrangement::Memory };
    let sockets = CoreSockets::of(&config, arrangement)?;
    let metrics = dev.metrics.or_else(|| config.metrics.of("ims-core"));
    let metrics = metrics.map(MetricsSocket::bind).transpose();
    let metrics = metrics.map_err(|error| Failure::Failed(error.to_string()))?;
    let clock = Clock::start();
    // Nobody looks at what nobody shows.
    let tracing = if dev.console.is_some() { Tracing::On } else { Tracing::Off };
    let mut core = Core::start(config.clone(), &roster, sockets, clock, tracing)?;
    let control = core.operate(&control::directory(&config), dev.config.as_deref())?;
    let metrics = metrics.map(|socket| core.measure(socket)).transpose()?;
    let mut console =
        dev.console.map(|address| console::Served::start(address, &config, clock)).transpose()?;
    screen::show(format_args!("{}", banner(&config, &roster, dev.config.as_deref())));
    if let Some(metrics) = &metrics {
        screen::line(format_args!("Metrics: http://{}/metrics", metrics.address()));
    }
    if let Some(console) = &console {
        screen::line(format_args!("Console: {}", console.url()));
    }
    while !is_asked_to_stop() {
        if core.has_ended() {
            return Err(Failure::Failed("a function of the core has ended; its log says why".to_owned()));
        }
        let look = match &mut console {
            Some(console) => {
                console.look(&mut core);
                LOOK_LIVE
            }
            None => LOOK,
        };
        std::thread::sleep(look);
    }
    screen::line(format_args!("\nStopping."));
    drop(metrics);
    if let Some(console) = console {
        console.stop();
    }
    drop(control);
    core.stop().map(drop)
}

/// What there is, and what to type next.
fn banner(config: &Config, roster: &Roster, file: Option<&Path>) -> String {
    let plmn = config.home.plmn();
    let mut out =
        format!("An IMS core of PLMN {}/{} is up: {}\n\n", plmn.mcc(), plmn.mnc(), config.home.domain());
    let first =
        |locals: &[cscf::Local]| locals.first().map_or(String::new(), |local| local.address.to_string());
    for (name, address) in [
        ("P-CSCF", first(&config.pcscf.listen)),
        ("I-CSCF", first(&config.icscf.listen)),
        ("S-CSCF", first(&config.scscf.listen)),
        ("E-CSCF", first(&config.ecscf.listen)),
        ("HSS", config.hss.listen.first().map_or(String::new(), ToString::to_string)),
    ] {
        if address.is_empty() {
            continue;
        }
        out.push_str(&format!("  {name:<7} {address}\n"));
    }
    out.push_str("\nSubscribers:\n");
    for subscriber in roster.subscribers().iter().take(SHOWN_MAX) {
        let number = identities(subscriber).find(|identity| identity.starts_with("tel:")).unwrap_or("");
        out.push_str(&format!("  {:<7} {number}\n", subscriber.name));
    }
    if let Some(more) = roster.subscribers().len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        out.push_str(&format!("  and {more} more: ims sub list\n"));
    }
    let config_option = file.map_or(String::new(), |file| format!(" --config {}", file.display()));
    let mut names = roster.subscribers().iter().map(|subscriber| subscriber.name.as_str());
    let (a, b) = (names.next().unwrap_or("alice"), names.next().unwrap_or("bob"));
    out.push_str(&format!(
        "\nType next, in another terminal:\n  ims register {a}{config_option} --ladder\n  \
         ims message {a} {b} \"Hello\"{config_option}\n  ims call {a} {b}{config_option}\n  \
         ims hss refuse mar UNABLE_TO_COMPLY --count 1{config_option}\n  ims hss show {a}{config_option}\n\nCtrl-C stops the core.\n"
    ));
    out
}

/// Subscribers that the banner names.
const SHOWN_MAX: usize = 5;
/// How often the core and the wish to stop are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often what happens is shown, where it is.
const LOOK_LIVE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use cscf::identity::Plmn;

    #[test]
    fn the_banner_says_where_the_core_is_and_what_to_type() {
        let config = Config::lab(&Plmn::test());
        let roster = Roster::built_in(&config.home);
        let banner = banner(&config, &roster, Some(Path::new("lab.toml")));
        assert!(banner.contains("P-CSCF  127.0.0.10:5060"), "{banner}");
        assert!(banner.contains("ims call alice bob --config lab.toml"), "{banner}");
        assert!(!banner.contains("more:"), "{banner}");
    }
}
