//! `[store]`, `[limits]`, `[timers]` and `[log]`: how much, how long, how loud.

use super::reader::{Fallback, Reader};
use super::value::{Fault, LogFormat, LogLevel, StoreKind};
use sip_core::transaction::Timing;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the CSCFs keep what must survive them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSection {
    /// The back end.
    pub kind: StoreKind,
    /// The directory of the journals, one file for each role.
    pub path: PathBuf,
}

impl StoreSection {
    pub(super) fn read(reader: &mut Reader<'_>, directory: &Path) -> StoreSection {
        let mut section = reader.section("store");
        let read = StoreSection {
            kind: section.get("kind", Fallback::Default(StoreKind::Memory)),
            path: directory.join(section.get("path", Fallback::Default(PathBuf::from("store")))),
        };
        section.end();
        read
    }
}

/// Bounds of every table and buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsSection {
    /// Bytes of one SIP message.
    pub message_bytes: usize,
    /// Header values of one SIP message.
    pub headers: usize,
    /// Requests in progress, and client transactions, and queries to the world, each; beyond, 503.
    pub contexts: usize,
    /// Of these, how many one source outside of the trust domain may hold, transactions that linger after their final
    /// response included; beyond, 503. An IPv4 address or an IPv6 /64 is one source.
    pub contexts_per_source: usize,
    /// Stream connections.
    pub connections: usize,
    /// Stream connections with one remote address.
    pub connections_per_remote: usize,
    /// Bytes that wait to be written to one connection.
    pub connection_buffer_bytes: usize,
    /// A connection that carries nothing for so long is closed.
    pub connection_idle: Duration,
    /// The namespaces of Resource-Priority whose requests have a share in the reserve of emergencies (RFC 4412).
    pub priority_namespaces: Vec<String>,
    /// How long requests in progress may take to finish when the process is asked to stop.
    pub drain: Duration,
}

impl LimitsSection {
    pub(super) fn read(reader: &mut Reader<'_>) -> LimitsSection {
        let seconds = Duration::from_secs;
        let mut section = reader.section("limits");
        let read = LimitsSection {
            priority_namespaces: section.get(
                "priority_namespaces",
                // TS 24.229 §4.11: those of multimedia priority service.
                Fallback::Default(vec!["ets".to_owned(), "wps".to_owned()]),
            ),
            message_bytes: section.within("message_bytes", 65_535, 1500..=65_535) as usize,
            headers: section.within("headers", 128, 32..=1024) as usize,
            contexts: section.within("contexts", 100_000, 1..=10_000_000) as usize,
            contexts_per_source: section.within("contexts_per_source", 2_000, 1..=10_000_000) as usize,
            connections: section.within("connections", 10_000, 1..=1_000_000) as usize,
            connections_per_remote: section.within("connections_per_remote", 100, 1..=1_000_000) as usize,
            connection_buffer_bytes: section.within("connection_buffer_bytes", 1 << 20, 65_535..=1 << 30)
                as usize,
            connection_idle: section.within("connection_idle", seconds(900), seconds(10)..=seconds(86_400)),
            drain: section.within("drain", seconds(5), Duration::ZERO..=seconds(300)),
        };
        section.end();
        read
    }
}

/// The SIP timers (TS 24.229 table 7.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimersSection {
    /// Between network entities.
    pub core: Timing,
    /// At the UE, and at the P-CSCF towards a UE.
    pub access: Timing,
    /// How long a proxy lets an INVITE ring (RFC 3261 §16.6 step 11).
    pub timer_c: Duration,
}

impl TimersSection {
    pub(super) fn read(reader: &mut Reader<'_>) -> TimersSection {
        let range = || Duration::from_millis(10)..=Duration::from_secs(60);
        let mut section = reader.section("timers");
        let read = TimersSection {
            core: Timing {
                t1: section.within("t1", Timing::CORE.t1, range()),
                t2: section.within("t2", Timing::CORE.t2, range()),
                t4: section.within("t4", Timing::CORE.t4, range()),
            },
            access: Timing {
                t1: section.within("access_t1", Timing::ACCESS.t1, range()),
                t2: section.within("access_t2", Timing::ACCESS.t2, range()),
                t4: section.within("access_t4", Timing::ACCESS.t4, range()),
            },
            // RFC 3261 §16.6 step 11: more than three minutes.
            timer_c: section.within(
                "timer_c",
                Duration::from_secs(185),
                Duration::from_secs(181)..=Duration::from_secs(3600),
            ),
        };
        section.end();
        for (key, timing) in [("t1", read.core), ("access_t1", read.access)] {
            if timing.t1 > timing.t2 {
                let fault = Fault::new(
                    "is longer than the t2 beside it",
                    "T1 doubles up to T2: keep T1 the smaller one",
                );
                reader.reject("timers", key, fault);
            }
        }
        read
    }
}

/// Logging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSection {
    /// How much.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
    /// Whether each transaction that ends is told in a line.
    pub transactions: bool,
}

impl LogSection {
    pub(super) fn read(reader: &mut Reader<'_>) -> LogSection {
        let mut section = reader.section("log");
        let read = LogSection {
            level: section.get("level", Fallback::Default(LogLevel::Info)),
            format: section.get("format", Fallback::Default(LogFormat::Text)),
            transactions: section.get("transactions", Fallback::Default(false)),
        };
        section.end();
        read
    }
}
