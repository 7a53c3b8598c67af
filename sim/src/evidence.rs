//! What a story looks at afterwards: the messages that a host saw, the questions that the HSS was asked, the tables.

use crate::ims::{Ims, Phone};
use crate::world::Traced;
use cscf::identity::Impu;
use cscf::station::Protocol;
use diameter_client::cx::{CxAnswer, CxRequest, ServerAssignmentType, decode_answer, decode_request};
use diameter_client::wire::Message;
use hss_mock::{CommandError, CommandReport, HssCommand, HssNotice, Refusal};
use pcscf::Pcscf;
use scscf::Scscf;
use std::time::Duration;

impl Ims {
    /// The SIP messages that a host received whose ladder line begins like this, as text.
    pub fn received(&self, host: &str, line: &str) -> Vec<String> {
        self.messages(host, line, false)
    }

    /// The SIP messages that a host sent whose ladder line begins like this, as text.
    pub fn sent(&self, host: &str, line: &str) -> Vec<String> {
        self.messages(host, line, true)
    }

    fn messages(&self, host: &str, line: &str, sent: bool) -> Vec<String> {
        let host = self.world.host(host);
        self.world
            .traced()
            .iter()
            .filter(|traced| traced.host == host && traced.event.sent == sent)
            .filter(|traced| traced.event.protocol == Protocol::Sip)
            .filter(|traced| traced.event.summary().starts_with(line))
            .map(|traced| String::from_utf8_lossy(&traced.event.bytes).into_owned())
            .collect()
    }

    /// The Cx requests that arrived at the other end, in order.
    pub fn cx_requests(&self) -> Vec<CxRequest> {
        self.cx(|message| decode_request(message).ok().map(|(_, request)| request))
    }

    /// The Cx answers that arrived at the other end, in order.
    pub fn cx_answers(&self) -> Vec<CxAnswer> {
        self.cx(|message| decode_answer(message).ok().map(|(_, answer)| answer))
    }

    fn cx<T>(&self, read: impl Fn(&Message<'_>) -> Option<T>) -> Vec<T> {
        let arrived = |traced: &&Traced| !traced.event.sent && traced.event.protocol == Protocol::Diameter;
        self.world
            .traced()
            .iter()
            .filter(arrived)
            .filter_map(|traced| read(&Message::parse(&traced.event.bytes).ok()?))
            .collect()
    }

    /// How many Cx requests of this name were made: `MAR`.
    pub fn cx_count(&self, name: &str) -> usize {
        self.cx_requests().iter().filter(|request| request.name() == name).count()
    }

    /// What the S-CSCFs told the HSS, in order.
    pub fn assignments(&self) -> Vec<ServerAssignmentType> {
        let assigned = |request| match request {
            CxRequest::Sar(sar) => Some(sar.assignment_type),
            _ => None,
        };
        self.cx_requests().into_iter().filter_map(assigned).collect()
    }

    /// How many contacts the S-CSCFs have for a phone's number.
    pub fn contacts(&self, phone: &Phone) -> usize {
        let Some(impu) = Impu::parse(phone.sip.as_bytes()) else { return 0 };
        self.world
            .hosts()
            .iter()
            .flat_map(|host| host.shards::<Scscf>())
            .filter_map(|station| station.node().role().registrations().find(&impu))
            .map(|(_, registration)| registration.bindings.len())
            .sum()
    }

    /// How many registrations go through the P-CSCF.
    pub fn bindings(&self) -> usize {
        let stations = self.world.hosts().iter().flat_map(|host| host.shards::<Pcscf>());
        stations.map(|station| station.node().role().bindings().len()).sum()
    }

    /// How many subscriptions to registrations the S-CSCFs have.
    pub fn subscriptions(&self) -> usize {
        let stations = self.world.hosts().iter().flat_map(|host| host.shards::<Scscf>());
        stations.map(|station| station.node().role().subscriptions().len()).sum()
    }

    /// Gives the HSS a command, and waits for what came of it.
    pub fn hss(&mut self, command: HssCommand) -> Result<CommandReport, CommandError> {
        let hss = self.world.host("hss");
        self.world.take_notices::<HssNotice>(hss);
        self.world.command(hss, command);
        let mut result = None;
        self.world.run_until(Duration::from_secs(60), |world| {
            result = world.take_notices::<HssNotice>(hss).pop().map(|(_, notice)| notice.result);
            result.is_some()
        });
        result.unwrap_or_else(|| panic!("the HSS reports nothing\n{}", self.ladder()))
    }

    /// Makes the HSS refuse a command, of everybody and always.
    pub fn refuse(&mut self, command: &str, result: diameter_client::cx::CxResult) {
        let refusal = Refusal { command: Some(command.to_owned()), identity: None, result, count: None };
        assert_eq!(self.hss(HssCommand::Refuse(refusal)), Ok(CommandReport::Done));
    }
}
