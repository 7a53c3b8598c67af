//! P-, I- and S-CSCF in one process: a thread for each shard of all three, one set of sockets, one journal.

use crate::clock::system_entropy;
use crate::control::{Control, ControlError, ControlSocket};
use crate::driver::{self, Driver, Handle, Setup};
use crate::process::{self, Controls, Deployment, Failure};
use crate::reload::Reload;
use crate::sockets::{Binding, Sockets};
use crate::store::Store;
use crate::tls::Tls;
use ambient::Entropy;
use cscf::assembly::{self, Part};
use cscf::config::{Config, StoreKind};
use cscf::query::Record;
use cscf::station::{Colocation, OfPart, colocation};
use cscf::wording::Wording;
use cscf::{Node, Role};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Makes a role.
pub type Make<R> = fn(Arc<Config>) -> R;

/// How one of the three functions is made and commanded.
#[derive(Clone, Copy, Debug)]
pub struct Function<R: Role> {
    /// Makes the role.
    pub role: Make<R>,
    /// Its commands and notices, in words.
    pub wording: Wording<R::Command, R::Notice>,
}

/// Runs the process that is all three: the whole of its `main`.
///
/// An E-CSCF, where the configuration has one, runs beside them on a thread of its own: it keeps nothing, and nothing that
/// the others do delays it.
pub fn run<P, I, S, E>(
    name: &'static str,
    about: &'static str,
    (pcscf, icscf, scscf): (Function<P>, Function<I>, Function<S>),
    ecscf: Function<E>,
) -> ExitCode
where
    P: Role + Send + 'static,
    I: Role + Send + 'static,
    S: Role + Send + 'static,
    E: Role + Send + 'static,
    P::Command: Clone + Send + 'static,
    I::Command: Clone + Send + 'static,
    S::Command: Clone + Send + 'static,
    E::Command: Clone + Send + 'static,
    P::Notice: Send + 'static,
    I::Notice: Send + 'static,
    S::Notice: Send + 'static,
    E::Notice: Send + 'static,
    Node<P>: Send,
    Node<I>: Send,
    Node<S>: Send,
    Node<E>: Send,
{
    let check =
        |config: &Config| P::check(config).and_then(|()| I::check(config)).and_then(|()| S::check(config));
    process::run(name, about, check, |deployment| {
        let config = &deployment.config;
        let tls = Tls::of(config).map_err(|error| process::wrong_file(&deployment.file, &error))?;
        process::check_transports(config)?;
        let (store, restored) = open_store(config)?;
        let entropy = system_entropy().map_err(Failure::failed)?;
        let stations = stations(config, (pcscf.role, icscf.role, scscf.role), entropy)?;
        let security = process::security(Part::Pcscf, config)?;
        let wordings = (pcscf.wording, icscf.wording, scscf.wording);
        let controls = Controls {
            names: vec![P::NAME, I::NAME, S::NAME],
            serve: Box::new(move |handle, sockets, reload| serve(handle, sockets, wordings, &reload)),
        };
        let setup = Setup { store, restored, security, tls, ..process::unbound()? };
        let beside = beside(&deployment, ecscf)?;
        process::serve_shards(name, stations, bindings(config), setup, &deployment, controls)?;
        let Some((beside, control)) = beside else { return Ok(()) };
        drop(control);
        beside.drain();
        beside.join().map(drop).map_err(Failure::failed)
    })
}

/// The E-CSCF of a configuration, running, and its control socket.
#[expect(clippy::type_complexity, reason = "it is the handle of a station, and has no other name")]
fn beside<E>(
    deployment: &Deployment,
    ecscf: Function<E>,
) -> Result<Option<(Handle<E::Command, E::Notice>, Option<Control>)>, Failure>
where
    E: Role + Send + 'static,
    E::Command: Clone + Send + 'static,
    E::Notice: Send + 'static,
    Node<E>: Send,
{
    let Deployment { config, file } = deployment;
    let locals = config.ecscf.listen.clone();
    if locals.is_empty() {
        return Ok(None);
    }
    let socket = config.control.path.as_deref().map(|directory| ControlSocket::bind(directory, E::NAME));
    let socket = socket.transpose().map_err(Failure::failed)?;
    let sockets = Sockets::bind(locals.iter().map(Binding::from)).map_err(Failure::failed)?;
    let entropy = system_entropy().map_err(Failure::failed)?;
    let station = assembly::sip_station((ecscf.role)(Arc::clone(config)), config, locals, None, entropy);
    let setup = Setup {
        sockets,
        dns: config.dns.clone(),
        recorder: (String::new(), config.recorder.rule.clone()),
        drain_max: config.limits.drain,
        write_buffer_max: config.limits.connection_buffer_bytes,
        ..process::unbound()?
    };
    let mut handle = Driver::spawn_shards(E::NAME, vec![station], setup).map_err(Failure::failed)?;
    let reload = Arc::new(Reload::new(Arc::clone(config), Some(file.clone())));
    let served = socket.map(|socket| socket.serve(handle.operator(), ecscf.wording, reload));
    let control = served.transpose().map_err(Failure::failed)?;
    Ok(Some((handle, control)))
}

/// The stations of each shard: as many as the configuration says, for all three alike.
pub fn stations<P: Role, I: Role, S: Role>(
    config: &Arc<Config>,
    (pcscf, icscf, scscf): (Make<P>, Make<I>, Make<S>),
    mut entropy: Entropy,
) -> Result<Vec<Colocation<P, I, S>>, Failure> {
    let shards = Part::ALL.map(|part| part.shards(config));
    if shards.iter().any(|count| *count != shards[0]) {
        let [p, i, s] = shards;
        return Err(Failure::Usage(format!(
            "`shards` of [pcscf], [icscf] and [scscf] is {p}, {i} and {s}: functions that share threads have as many each; \
             write the same number, or run them as processes of their own"
        )));
    }
    let pcscf = assembly::shards(Part::Pcscf, || pcscf(config.clone()), config, entropy.fork());
    let icscf = assembly::shards(Part::Icscf, || icscf(config.clone()), config, entropy.fork());
    let scscf = assembly::shards(Part::Scscf, || scscf(config.clone()), config, entropy.fork());
    let together = pcscf.into_iter().zip(icscf).zip(scscf);
    Ok(together.map(|((pcscf, icscf), scscf)| Colocation::new(config, pcscf, icscf, scscf)).collect())
}

/// The sockets of all three.
pub fn bindings(config: &Config) -> Vec<Binding> {
    Part::ALL.into_iter().flat_map(|part| process::bindings(part, config)).collect()
}

/// Serves the control sockets of the three, in the order of their names.
pub fn serve<PC, IC, SC, PN, IN, SN>(
    handle: &mut Handle<OfPart<PC, IC, SC>, OfPart<PN, IN, SN>>,
    sockets: Vec<ControlSocket>,
    wordings: (Wording<PC, PN>, Wording<IC, IN>, Wording<SC, SN>),
    reload: &Arc<Reload>,
) -> Result<Vec<Control>, ControlError>
where
    PC: Clone + Send + 'static,
    IC: Clone + Send + 'static,
    SC: Clone + Send + 'static,
    PN: Send + 'static,
    IN: Send + 'static,
    SN: Send + 'static,
{
    let Ok([pcscf, icscf, scscf]) = <[ControlSocket; 3]>::try_from(sockets) else { return Ok(Vec::new()) };
    let operators = handle.operators().map_err(|error| pcscf.error(&error))?;
    Ok(vec![
        pcscf.serve(operators.pcscf, wordings.0, Arc::clone(reload))?,
        icscf.serve(operators.icscf, wordings.1, Arc::clone(reload))?,
        scscf.serve(operators.scscf, wordings.2, Arc::clone(reload))?,
    ])
}

/// The store of all three that `[store]` asks for, and what it holds.
///
/// What the functions kept in journals of their own, as separate processes, is taken over first.
pub fn open_store(config: &Config) -> Result<(Store, Vec<Record>), Failure> {
    if config.store.kind == StoreKind::Memory {
        return Ok((Store::memory(), Vec::new()));
    }
    let path = journal(config);
    let (mut store, mut restored) = Store::file(&path).map_err(Failure::failed)?;
    for part in Part::ALL {
        let old = config.store.path.join(format!("{}.journal", part.name()));
        if old.exists() {
            take_over(part, &old, &mut store, &mut restored)?;
        }
    }
    Ok((store, restored))
}

/// Where the three keep what they share.
pub(crate) fn journal(config: &Config) -> PathBuf {
    config.store.path.join(JOURNAL)
}

/// Makes the records of a function's own journal part of the common one: they are the newer ones, since whoever takes them
/// over moves the file away.
fn take_over(part: Part, old: &Path, store: &mut Store, restored: &mut Vec<Record>) -> Result<(), Failure> {
    let (own, records) = Store::file(old).map_err(Failure::failed)?;
    own.close();
    let gone = restored.extract_if(.., |record| colocation::is_of(part, record));
    let mut taken: Vec<_> = gone.map(|record| Record { value: None, ..record }).collect();
    let marked = |mut record: Record| {
        if !driver::is_own(&record) {
            colocation::mark(part, &mut record);
        }
        record
    };
    let records: Vec<_> = records.into_iter().map(marked).collect();
    taken.extend(records.iter().cloned());
    let count = records.len();
    store.write_now(taken).map_err(Failure::failed)?;
    restored.extend(records);
    let moved = old.with_extension("journal.moved");
    std::fs::rename(old, &moved).map_err(|error| {
        Failure::Failed(format!("cannot rename {} to {}: {error}", old.display(), moved.display()))
    })?;
    tracing::info!(records = count, from = %old.display(), "took over what was kept by a process of its own");
    Ok(())
}

/// The journal of all three.
const JOURNAL: &str = "core.journal";
