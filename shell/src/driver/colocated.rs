//! The operators of functions that share a machine: each commands its own, and hears what its own tells.

use super::handle::{Gone, Handle, Operator};
use cscf::assembly::Part;
use cscf::station::OfPart;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The operators of P-, I- and S-CSCF: of commands `C` and notices `N` each.
#[derive(Debug)]
pub struct Operators<PC, PN, IC, IN, SC, SN> {
    /// Of the P-CSCF.
    pub pcscf: Operator<PC, PN>,
    /// Of the I-CSCF.
    pub icscf: Operator<IC, IN>,
    /// Of the S-CSCF.
    pub scscf: Operator<SC, SN>,
}

impl<PC, IC, SC, PN, IN, SN> Handle<OfPart<PC, IC, SC>, OfPart<PN, IN, SN>>
where
    PC: Clone + Send + 'static,
    IC: Clone + Send + 'static,
    SC: Clone + Send + 'static,
    PN: Send + 'static,
    IN: Send + 'static,
    SN: Send + 'static,
{
    /// As [`Handle::operator`], one for each function.
    pub fn operators(&mut self) -> io::Result<Operators<PC, PN, IC, IN, SC, SN>> {
        let told = self.take_notices();
        let (pcscf, pcscf_told) = self.operator_of(Part::Pcscf, OfPart::Pcscf);
        let (icscf, icscf_told) = self.operator_of(Part::Icscf, OfPart::Icscf);
        let (scscf, scscf_told) = self.operator_of(Part::Scscf, OfPart::Scscf);
        let sort = move || sort(&told, &pcscf_told, &icscf_told, &scscf_told);
        std::thread::Builder::new().name("notices".to_owned()).spawn(sort)?;
        Ok(Operators { pcscf, icscf, scscf })
    }

    fn operator_of<C: 'static, N>(
        &self,
        part: Part,
        whole: impl Fn(C) -> OfPart<PC, IC, SC> + Send + 'static,
    ) -> (Operator<C, N>, SyncSender<N>) {
        let posts = self.orders.0.clone();
        let (company, shards) = (Arc::clone(&posts.company), posts.posts.len());
        let count = posts.clone().count(Some(part));
        let record = posts.clone().record(Some(part));
        let command = Box::new(move |command| -> Result<(), Gone> { posts.command(whole(command)) });
        let (tell, notices) = sync_channel(NOTICES_MAX);
        (Operator { command, count, record, company, shards, notices }, tell)
    }
}

/// Gives each operator what is for it, until the machine ends; one that is behind or gone loses it.
fn sort<P, I, S>(
    told: &Receiver<OfPart<P, I, S>>,
    pcscf: &SyncSender<P>,
    icscf: &SyncSender<I>,
    scscf: &SyncSender<S>,
) {
    while let Ok(notice) = told.recv() {
        let _ = match notice {
            OfPart::Pcscf(notice) => pcscf.try_send(notice).is_ok(),
            OfPart::Icscf(notice) => icscf.try_send(notice).is_ok(),
            OfPart::Scscf(notice) => scscf.try_send(notice).is_ok(),
        };
    }
}

/// Notices that wait for one operator; beyond, they are lost.
const NOTICES_MAX: usize = 65_536;
