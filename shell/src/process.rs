//! What the server processes share: their command line, their log, their signals and their exit.
//!
//! `NAME --config FILE` runs until SIGTERM or SIGINT; a second signal ends it at once. SIGHUP reads the file again
//! ([`Reload`]). Exit status: 0 stopped in good order, 1 failed, 2 usage or configuration.

use crate::clock::{Clock, system_entropy};
use crate::colocated;
use crate::control::{Control, ControlError, ControlSocket};
use crate::driver::{Driver, Ended, Handle, Security, Setup};
use crate::logging;
use crate::metrics::{Expected, MetricsSocket, Subject};
use crate::open_files;
use crate::reload::Reload;
use crate::sctp;
use crate::sockets::{Binding, Sockets};
use crate::store::Store;
use crate::tls::{Tls, TlsFileError};
use cscf::assembly::{self, Part};
use cscf::config::{Config, ConfigError, SecurityBackEnd, StoreKind};
use cscf::query::Record;
use cscf::station::{Operated, Station, StreamTransport};
use cscf::wording::{Outcome, Wording};
use cscf::{Local, Role, Side};
use std::fmt;
use std::io::{self, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Why a process ends other than in good order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The world refused, or something broke.
    Failed(String),
    /// The command line, the configuration or a file that it names is wrong: no socket was opened.
    Usage(String),
}

impl Failure {
    /// A failure of the world.
    pub fn failed(why: impl fmt::Display) -> Failure {
        Failure::Failed(why.to_string())
    }

    /// A mistake in what the operator wrote.
    pub fn usage(why: impl fmt::Display) -> Failure {
        Failure::Usage(why.to_string())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Failed(_) => ExitCode::from(1),
            Failure::Usage(_) => ExitCode::from(2),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed(why) | Failure::Usage(why) => f.write_str(why),
        }
    }
}

/// What a process was started with.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The configuration.
    pub config: Arc<Config>,
    /// The file that it was read from.
    pub file: PathBuf,
}

/// Runs the process of a SIP role, commanded in the words of `wording`: the whole of its `main`.
pub fn run_role<R>(
    part: Part,
    about: &'static str,
    role: impl Fn(Arc<Config>) -> R,
    wording: Wording<R::Command, R::Notice>,
) -> ExitCode
where
    R: Role + Send + 'static,
    R::Command: Clone + Send + 'static,
    R::Notice: Send + 'static,
    Station<R>: Operated<Command = R::Command, Notice = R::Notice>,
{
    run(R::NAME, about, R::check, |deployment| {
        let config = &deployment.config;
        let tls = Tls::of(config).map_err(|error| wrong_file(&deployment.file, &error))?;
        if matches!(part, Part::Icscf | Part::Scscf) {
            check_transports(config)?;
        }
        // The store is read before the first socket opens: nobody is served by a process that has forgotten.
        let (store, restored) = open_store(R::NAME, config)?;
        let entropy = system_entropy().map_err(Failure::failed)?;
        let stations = assembly::shards(part, || role(Arc::clone(config)), config, entropy);
        let bindings = bindings(part, config);
        let security = security(part, config)?;
        let setup = Setup { store, restored, security, tls, ..unbound()? };
        let controls = Controls::of(R::NAME, wording);
        serve_shards(R::NAME, stations, bindings, setup, &deployment, controls)
    })
}

/// As [`run_role`], for a function that is no part of the core of every deployment: one shard at the listening points
/// that its section names, which may be none.
pub fn run_alone<R>(
    about: &'static str,
    locals: impl Fn(&Config) -> Vec<Local>,
    role: impl Fn(Arc<Config>) -> R,
    wording: Wording<R::Command, R::Notice>,
) -> ExitCode
where
    R: Role + Send + 'static,
    R::Command: Clone + Send + 'static,
    R::Notice: Send + 'static,
    Station<R>: Operated<Command = R::Command, Notice = R::Notice>,
{
    run(R::NAME, about, R::check, |deployment| {
        let config = &deployment.config;
        let locals = locals(config);
        if locals.is_empty() {
            let why = format!(
                "{}: [{}] names no address: listen = [\"127.0.0.14:7060\"]",
                deployment.file.display(),
                R::NAME
            );
            return Err(Failure::Usage(why));
        }
        let tls = Tls::of(config).map_err(|error| wrong_file(&deployment.file, &error))?;
        let (store, restored) = open_store(R::NAME, config)?;
        let entropy = system_entropy().map_err(Failure::failed)?;
        let bindings: Vec<Binding> = locals.iter().map(Binding::from).collect();
        let station = assembly::sip_station(role(Arc::clone(config)), config, locals, None, entropy);
        let setup = Setup { store, restored, tls, ..unbound()? };
        let controls = Controls::of(R::NAME, wording);
        serve_shards(R::NAME, vec![station], bindings, setup, &deployment, controls)
    })
}

/// Runs a process that serves: reads the command line and the configuration, does what they say, and explains what went
/// wrong; `check` looks at what the configuration itself does not know.
pub fn run(
    name: &'static str,
    about: &'static str,
    check: impl FnOnce(&Config) -> Result<(), ConfigError>,
    serve: impl FnOnce(Deployment) -> Result<(), Failure>,
) -> ExitCode {
    let arguments = match Arguments::parse(name, about, std::env::args_os()) {
        Ok(arguments) => arguments,
        // Help goes to standard output with 0, a mistake to standard error with 2.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match act(&arguments, check, serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to be done where even standard error is gone.
            let _ = writeln!(io::stderr(), "{name}: {failure}");
            failure.exit_code()
        }
    }
}

fn act(
    arguments: &Arguments,
    check: impl FnOnce(&Config) -> Result<(), ConfigError>,
    serve: impl FnOnce(Deployment) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let config = read_config(&arguments.config)?;
    check(&config).map_err(Failure::usage)?;
    match arguments.action {
        Action::Serve => {
            logging::start_in(
                config.log.format,
                &logging::filter_of(config.log.level, config.log.transactions),
            );
            serve(Deployment { config: Arc::new(config), file: arguments.config.clone() })
        }
        Action::Check => {
            Tls::of(&config).map_err(|error| wrong_file(&arguments.config, &error))?;
            say(&format!("{}: valid\n", arguments.config.display()))
        }
        Action::Print => say(&config.print_config()),
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    config: PathBuf,
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Serve,
    Check,
    Print,
}

impl Arguments {
    fn parse(
        name: &'static str,
        about: &'static str,
        words: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
    ) -> Result<Arguments, clap::Error> {
        let flag = |name: &'static str, help: &'static str| {
            clap::Arg::new(name).long(name).help(help).action(clap::ArgAction::SetTrue)
        };
        let matches = clap::Command::new(name)
            .about(about)
            .version(env!("CARGO_PKG_VERSION"))
            .arg(
                clap::Arg::new("config")
                    .long("config")
                    .value_name("FILE")
                    .help("The configuration of the deployment")
                    .required(true)
                    .value_parser(clap::value_parser!(PathBuf)),
            )
            .arg(flag("check-config", "Check the configuration and exit").conflicts_with("print-config"))
            .arg(flag("print-config", "Print each effective value with its origin and exit"))
            .try_get_matches_from(words)?;
        let action = match (matches.get_flag("check-config"), matches.get_flag("print-config")) {
            (true, _) => Action::Check,
            (false, true) => Action::Print,
            (false, false) => Action::Serve,
        };
        let config = matches.get_one::<PathBuf>("config").cloned().unwrap_or_default();
        Ok(Arguments { config, action })
    }
}

fn read_config(path: &Path) -> Result<Config, Failure> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("{shown}: {error}; `--config` names this file")))?;
    let mut config = Config::parse(&text, &shown).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Failure::Usage(lines.join("\n"))
    })?;
    config.read_criteria(|file| std::fs::read(file)).map_err(Failure::usage)?;
    Ok(config)
}

/// A mistake in a file that the configuration names.
pub(crate) fn wrong_file(config: &Path, error: &TlsFileError) -> Failure {
    Failure::Usage(format!("{}: {error}", config.display()))
}

fn say(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(Failure::failed)
}

/// Whether this program and its system have the transports of the peers that it will connect to.
pub(crate) fn check_transports(config: &Config) -> Result<(), Failure> {
    let mut peers = config.diameter.hss.iter();
    match peers.find(|peer| peer.transport == StreamTransport::Sctp) {
        Some(peer) => sctp::probe().map_err(|error| {
            Failure::Failed(format!("cannot connect to {} at {}: {error}", peer.host, peer.point()))
        }),
        None => Ok(()),
    }
}

/// Whether this program and its system have SCTP; if not, the error says what to do.
pub fn has_sctp() -> io::Result<()> {
    sctp::probe()
}

/// The store that `[store]` asks for, and what it holds.
pub fn open_store(name: &str, config: &Config) -> Result<(Store, Vec<Record>), Failure> {
    match config.store.kind {
        StoreKind::Memory => Ok((Store::memory(), Vec::new())),
        StoreKind::File => {
            let common = colocated::journal(config);
            if common.exists() && Part::ALL.iter().any(|part| part.name() == name) {
                return Err(Failure::Usage(format!(
                    "{} keeps what was registered at the three CSCFs as one process: run `ims-core`, point `store.path` \
                     elsewhere, or move that file away to begin with no registrations",
                    common.display()
                )));
            }
            let path = config.store.path.join(format!("{name}.journal"));
            Store::file(&path).map_err(Failure::failed)
        }
    }
}

/// The sockets of a part: none at the protected ports of an ESP of its own.
pub fn bindings(part: Part, config: &Config) -> Vec<Binding> {
    let is_own = config.ipsec.back_end == SecurityBackEnd::Userspace;
    let locals = part.locals(config);
    let of_system = locals.iter().filter(|local| local.side != Side::Protected || !is_own);
    of_system.map(Binding::from).collect()
}

/// Who does ESP for a part: the P-CSCF alone has protected ports.
pub fn security(part: Part, config: &Config) -> Result<Security, Failure> {
    if part != Part::Pcscf || !config.ipsec.is_on() {
        return Ok(Security::None);
    }
    let locals = config.ipsec.locals(&config.pcscf.listen);
    let protected: Vec<_> = locals.iter().map(|local| local.address).collect();
    match config.ipsec.back_end {
        SecurityBackEnd::Xfrm => Ok(Security::Xfrm { guarded: protected }),
        SecurityBackEnd::Userspace if config.pcscf.shards > 1 => Err(Failure::Usage(
            "ipsec.back_end: \"userspace\" is for one shard; set pcscf.shards = 1, or write \"xfrm\""
                .to_owned(),
        )),
        SecurityBackEnd::Userspace => {
            let encapsulated = config.ipsec.tunnels(&config.pcscf.listen);
            Ok(Security::Userspace { protected, encapsulated })
        }
    }
}

/// Runs one machine until a signal asks it to stop.
pub fn serve<M>(
    name: &'static str,
    machine: M,
    bindings: impl IntoIterator<Item = Binding>,
    store: Store,
    restored: Vec<Record>,
    deployment: &Deployment,
    wording: Wording<M::Command, M::Notice>,
) -> Result<(), Failure>
where
    M: Operated + 'static,
    M::Command: Clone,
{
    let setup = Setup { store, restored, ..unbound()? };
    let controls = Controls::of(name, wording);
    serve_shards(name, vec![machine], bindings, setup, deployment, controls)
}

/// A setup without sockets, to be filled.
pub(crate) fn unbound() -> Result<Setup, Failure> {
    let entropy = system_entropy().map_err(Failure::failed)?;
    Ok(Setup::new(Sockets::default(), Clock::start(), entropy))
}

/// The control sockets of a process: their names, and who serves them for a running machine.
pub(crate) struct Controls<C, N> {
    pub(crate) names: Vec<&'static str>,
    pub(crate) serve: Box<Serve<C, N>>,
}

/// Serves the bound sockets of these names; `None` where nobody commands the machine, whose notices nobody reads then.
type Serve<C, N> =
    dyn FnOnce(&mut Handle<C, N>, Vec<ControlSocket>, Arc<Reload>) -> Result<Vec<Control>, ControlError>;

impl<C, N> Controls<C, N>
where
    C: Clone + Send + 'static,
    N: Send + 'static,
{
    /// One socket, commanded in the words of `wording`.
    fn of(name: &'static str, wording: Wording<C, N>) -> Controls<C, N> {
        let serve = move |handle: &mut Handle<C, N>, sockets: Vec<ControlSocket>, reload: Arc<Reload>| {
            let socket = sockets.into_iter().next();
            let control =
                socket.map(|socket| socket.serve(handle.operator(), wording, reload)).transpose()?;
            Ok(control.into_iter().collect())
        };
        Controls { names: vec![name], serve: Box::new(serve) }
    }
}

/// Runs the shards of one function until a signal asks it to stop.
pub(crate) fn serve_shards<M>(
    name: &'static str,
    machines: Vec<M>,
    bindings: impl IntoIterator<Item = Binding>,
    setup: Setup,
    deployment: &Deployment,
    controls: Controls<M::Command, M::Notice>,
) -> Result<(), Failure>
where
    M: Operated + 'static,
    M::Command: Clone,
{
    let Deployment { config, file } = deployment;
    open_files::prepare(name, config.limits.connections);
    let bind = |directory: &Path| {
        let bind = |name: &&str| ControlSocket::bind(directory, name);
        controls.names.iter().map(bind).collect::<Result<Vec<_>, _>>()
    };
    let sockets_of_control = config.control.path.as_deref().map(bind).transpose().map_err(Failure::failed)?;
    let metrics = config.metrics.of(name).map(MetricsSocket::bind).transpose().map_err(Failure::failed)?;
    let expected: Vec<Expected> = controls.names.iter().map(|name| Expected::of(name)).collect();
    let shards = u16::try_from(machines.len()).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN);
    let sockets = Sockets::bind_for(shards, bindings).map_err(Failure::failed)?;
    let tls = setup.tls.clone();
    let setup = Setup {
        sockets,
        dns: config.dns.clone(),
        recorder: (String::new(), config.recorder.rule.clone()),
        drain_max: config.limits.drain,
        write_buffer_max: config.limits.connection_buffer_bytes,
        ..setup
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        let mut stop = StopSignals::new().map_err(Failure::failed)?;
        let mut handle = Driver::spawn_shards(name, machines, setup).map_err(Failure::failed)?;
        for Binding { speaks, address } in handle.addresses() {
            tracing::info!(%address, "{name} listens for {speaks}");
        }
        if shards > NonZeroU16::MIN {
            tracing::info!(%shards, "{name} runs in shards");
        }
        let reload = Arc::new(Reload::new(Arc::clone(config), Some(file.clone())).with_tls(tls));
        let control = match sockets_of_control {
            Some(sockets) => {
                (controls.serve)(&mut handle, sockets, Arc::clone(&reload)).map_err(Failure::failed)?
            }
            None => {
                // Nobody will read what the machine tells.
                drop(handle.operator());
                Vec::new()
            }
        };
        let metrics = match metrics {
            Some(socket) => {
                let subject = Subject { meters: vec![handle.meter()], expected };
                Some(socket.serve(subject).map_err(Failure::failed)?)
            }
            None => None,
        };
        if let Some(metrics) = &metrics {
            tracing::info!(address = %metrics.address(), "{name} tells its metrics");
        }
        for control in &control {
            tracing::info!(path = %control.path().display(), "{name} takes commands");
        }
        stop.reload = Some(reload);
        until_stopped(&handle, &mut stop).await;
        drop(metrics);
        drop(control);
        tracing::info!("{name} takes no new work and finishes what it has");
        handle.drain();
        tokio::select! {
            () = handle.ended() => {}
            () = stop.next() => return Err(Failure::Failed("stopped at once by a second signal".to_owned())),
        }
        match handle.join().map_err(Failure::failed)? {
            Ended::Drained | Ended::Aborted => tracing::info!("{name} has stopped"),
            Ended::Late => tracing::warn!("{name} has stopped with work left: `limits.drain` was over"),
        }
        Ok(())
    })
}

/// Waits for a signal, or for the machine's end, which [`Handle::join`] will explain.
async fn until_stopped<C, N>(handle: &Handle<C, N>, stop: &mut StopSignals) {
    tokio::select! {
        () = handle.ended() => {}
        () = stop.next() => {}
    }
}

/// SIGTERM and SIGINT; SIGHUP reads the configuration again.
struct StopSignals {
    reload: Option<Arc<Reload>>,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn new() -> io::Result<StopSignals> {
        Ok(StopSignals {
            reload: None,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    if let Some(reload) = &self.reload {
                        report(reload);
                    }
                }
            }
        }
    }
}

/// Reads the configuration again, and tells the log what came of it.
fn report(reload: &Reload) {
    let reply = reload.reload();
    match &reply.outcome {
        Outcome::Done => reply.lines.iter().for_each(|line| tracing::info!("configuration: {line}")),
        refused => {
            reply.lines.iter().for_each(|line| tracing::warn!("configuration: {line}"));
            tracing::warn!(?refused, "the configuration was not read again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        let words = std::iter::once("pcscf").chain(words.iter().copied());
        Arguments::parse("pcscf", "", words).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_names_a_file_and_one_thing_to_do() {
        for (words, action) in [
            (&["--config", "lab.toml"][..], Action::Serve),
            (&["--config", "lab.toml", "--check-config"], Action::Check),
            (&["--print-config", "--config=lab.toml"], Action::Print),
        ] {
            assert_eq!(parse(words), Ok(Arguments { config: "lab.toml".into(), action }));
        }
        for words in [&[][..], &["--config"], &["--config", "a", "--check-config", "--print-config"], &["-x"]]
        {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_mistake_in_the_file_is_told_with_its_place_and_ends_with_2() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lab.toml");
        std::fs::write(&path, "[plmn]\nmcc = \"001\"\nmnc = \"01\"\n[pcscf]\nlissten = \"127.0.0.1:5060\"\n")
            .unwrap();
        let failure = read_config(&path).unwrap_err();
        assert_eq!(failure.exit_code(), ExitCode::from(2));
        let text = failure.to_string();
        assert!(text.contains("lab.toml:5:1") && text.contains("listen"), "{text}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = read_config(Path::new("/nowhere/lab.toml")).unwrap_err();
        assert_eq!(failure.exit_code(), ExitCode::from(2));
        assert!(failure.to_string().starts_with("/nowhere/lab.toml: "), "{failure}");
    }
}
