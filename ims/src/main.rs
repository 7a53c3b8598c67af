//! `ims`: the command that people type.

mod arguments;
mod bundle;
mod console;
mod control;
mod core;
mod cscfs;
mod demo;
mod dev;
mod doctor;
mod exit;
mod explain;
mod hss;
mod ifc;
mod io;
mod ladder;
mod live;
mod load;
mod outing;
mod phone;
#[cfg(test)]
mod privilege;
mod progress;
mod psap;
mod recording;
mod reg;
mod roster;
mod sa;
mod screen;
mod settings;
mod sub;
mod subscriber_file;
mod switched_on;
mod terminal;
mod trace;

use arguments::{Arguments, Call, Command, EntryTransport, Message, Register};
use clap::Parser;
use exit::Failure;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// docs/decisions/21-allocator.md
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A core that stays is an operator's; for the others, what matters is in their output.
    shell::logging::start(match &arguments.command {
        Command::Dev(_) => "info",
        // Why a certificate was not believed is told by the connection alone.
        Command::Register(Register { running, .. })
        | Command::Call(Call { running, .. })
        | Command::Message(Message { running, .. })
            if running.entry.transport == Some(EntryTransport::Tls) =>
        {
            "warn"
        }
        _ => "error",
    });
    let outcome = match &arguments.command {
        Command::Demo(demo) => demo::run(demo),
        Command::Dev(dev) => stop_signal().and_then(|stop| dev::run(dev, || stop.load(Ordering::Relaxed))),
        Command::Ue(ue) => {
            stop_signal().and_then(|stop| switched_on::run(ue, || stop.load(Ordering::Relaxed)))
        }
        Command::Psap(psap) => {
            stop_signal().and_then(|stop| psap::run(psap, || stop.load(Ordering::Relaxed)))
        }
        Command::Register(register) => outing::register(register),
        Command::Call(call) => outing::call(call),
        Command::Message(message) => outing::message(message),
        Command::Load(load) => {
            stop_signal().and_then(|stop| load::run(load, || stop.load(Ordering::Relaxed)))
        }
        Command::Sub(sub) => sub::run(sub),
        Command::Ifc(ifc) => ifc::run(ifc),
        Command::Hss(hss) => hss::run(hss),
        Command::Reg(reg) => reg::run(reg),
        Command::Sa(sa) => sa::run(sa),
        Command::Doctor(doctor) => doctor::run(doctor),
        Command::Log(log) => control::log(log),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Counters(counters) => control::counters(counters),
        Command::Ladder(ladder) => {
            stop_signal().and_then(|stop| ladder::run(ladder, || stop.load(Ordering::Relaxed)))
        }
        Command::Trace(trace) => {
            stop_signal().and_then(|stop| trace::run(trace, || stop.load(Ordering::Relaxed)))
        }
        Command::Bundle(bundle) => bundle::run(bundle),
        Command::Reload(reload) => control::reload(reload),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen::complain(format_args!("ims: {failure}"));
            failure.exit_code()
        }
    }
}

/// Becomes true when the process is asked to stop (SIGINT, SIGTERM).
fn stop_signal() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    let failed = |error: std::io::Error| Failure::Failed(format!("no signals: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        told.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}
