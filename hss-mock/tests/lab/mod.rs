//! An HSS with two subscribers, driven by hand: every request is asked, stored and answered in one call.

#![allow(dead_code)]

use ambient::{Entropy, Now};
use cscf::identity::{HomeNetwork, Plmn};
use diameter_client::cx::{
    AuthDataItem, AuthScheme, CxAnswer, CxRequest, CxResult, Lia, Lir, Maa, Mar, Saa, Sar,
    ServerAssignmentType, Uaa, Uar, UserAuthorizationType,
};
use diameter_client::endpoint::{CxFailure, RequestId};
use hss_mock::{CommandError, CommandReport, Hss, HssCommand, HssConfig, HssInput, HssOutput, Subscriber};
use ims_aka::{Key, Opc, Usim, UsimAnswer};
use std::collections::BTreeMap;

pub const DOMAIN: &str = "ims.mnc001.mcc001.3gppnetwork.org";
pub const ALICE: &str = "sip:alice@ims.mnc001.mcc001.3gppnetwork.org";
pub const ALICE_TEL: &str = "tel:+49301000001";
pub const ALICE_IMPI: &str = "001010000000001@ims.mnc001.mcc001.3gppnetwork.org";
pub const BOB: &str = "sip:bob@ims.mnc001.mcc001.3gppnetwork.org";
pub const BOB_IMPI: &str = "001010000000002@ims.mnc001.mcc001.3gppnetwork.org";
pub const SCSCF: &str = "sip:scscf1.home1.net:6060";
pub const OTHER_SCSCF: &str = "sip:scscf2.home1.net:6060";

pub fn home() -> HomeNetwork {
    HomeNetwork::of(&Plmn::test())
}

pub fn alice() -> Subscriber {
    let (k, opc) = (Key::new([1; 16]), Opc(Key::new([2; 16])));
    Subscriber::lab(&home(), "001010000000001", k, opc, "49301000001", "alice").expect("a subscriber")
}

pub fn bob() -> Subscriber {
    let (k, opc) = (Key::new([3; 16]), Opc(Key::new([4; 16])));
    Subscriber::lab(&home(), "001010000000002", k, opc, "49301000002", "bob").expect("a subscriber")
}

/// The card of a subscriber.
pub fn card(subscriber: &Subscriber) -> Usim {
    Usim::new(subscriber.private_identities[0].credentials.algorithm().expect("an AKA subscriber"))
}

pub fn answer_of(card: &mut Usim, item: &AuthDataItem) -> UsimAnswer {
    let nonce = item.authenticate.as_deref().expect("an AKA vector");
    card.answer(nonce[..16].try_into().expect("RAND"), nonce[16..].try_into().expect("AUTN"))
}

/// An HSS, the store behind it, and what it sent that was not an answer.
pub struct Lab {
    pub hss: Hss,
    /// What is durable.
    pub records: BTreeMap<String, Vec<u8>>,
    /// How many batches were stored.
    pub stored: usize,
    /// Requests of the HSS: id, request, and the host that it goes to.
    pub sent: Vec<(u64, CxRequest, String)>,
    pub done: Vec<(u64, Result<CommandReport, CommandError>)>,
    last: u64,
}

impl Lab {
    pub fn new() -> Lab {
        Lab::with(HssConfig::default(), vec![alice(), bob()])
    }

    pub fn with(config: HssConfig, subscribers: Vec<Subscriber>) -> Lab {
        Lab::restarted(config, subscribers, BTreeMap::new())
    }

    pub fn restarted(
        config: HssConfig,
        subscribers: Vec<Subscriber>,
        records: BTreeMap<String, Vec<u8>>,
    ) -> Lab {
        let mut hss = Hss::new(config, Entropy::seeded(7));
        hss.load(subscribers, records.clone().into_iter().collect()).expect("what was stored can be loaded");
        Lab { hss, records, stored: 0, sent: Vec::new(), done: Vec::new(), last: 0 }
    }

    /// Takes outputs, storing at once what is to be stored; gives the answers.
    pub fn settle(&mut self) -> Vec<(RequestId, CxAnswer)> {
        let mut answers = Vec::new();
        while let Some(output) = self.hss.poll_output() {
            match output {
                HssOutput::Answer { id, answer } => answers.push((id, answer)),
                HssOutput::Request { id, request, destination } => {
                    self.sent.push((id, request, destination.host.unwrap_or_default()));
                }
                HssOutput::Store { batch, records } => {
                    self.stored += 1;
                    for record in records {
                        let (key, value) = record.into_stored();
                        match value {
                            Some(value) => self.records.insert(key, value),
                            None => self.records.remove(&key),
                        };
                    }
                    self.hss.handle(Now::default(), HssInput::Stored { batch, result: Ok(()) });
                }
                HssOutput::Done { command, result } => self.done.push((command, result)),
            }
        }
        answers
    }

    pub fn send(&mut self, request: CxRequest, host: &str) -> RequestId {
        self.last += 1;
        let id = RequestId(self.last);
        let (origin_host, origin_realm) = (host.to_owned(), "home1.net".to_owned());
        self.hss.handle(Now::default(), HssInput::Request { id, request, origin_host, origin_realm });
        id
    }

    /// Asks from the host that the S-CSCF's name says, and waits for the answer.
    pub fn ask(&mut self, request: CxRequest) -> CxAnswer {
        let server = match &request {
            CxRequest::Mar(mar) => mar.server_name.as_str(),
            CxRequest::Sar(sar) => sar.server_name.as_str(),
            _ => "sip:icscf.home1.net",
        };
        let host = server.trim_start_matches("sip:").split(':').next().unwrap_or_default().to_owned();
        let id = self.send(request, &host);
        let mut answers = self.settle();
        let (answered, answer) = answers.pop().expect("every request is answered");
        assert!(answers.is_empty() && answered == id, "and once");
        answer
    }

    pub fn command(&mut self, command: HssCommand) -> Option<Result<CommandReport, CommandError>> {
        self.last += 1;
        let id = self.last;
        self.hss.handle(Now::default(), HssInput::Command { id, command });
        assert!(self.settle().is_empty());
        self.result_of(id)
    }

    pub fn result_of(&mut self, command: u64) -> Option<Result<CommandReport, CommandError>> {
        let at = self.done.iter().position(|(id, _)| *id == command)?;
        Some(self.done.remove(at).1)
    }

    pub fn answer(&mut self, id: u64, result: Result<CxAnswer, CxFailure>) {
        self.hss.handle(Now::default(), HssInput::Answer { id, result });
        assert!(self.settle().is_empty());
    }

    pub fn uar(&mut self, impi: &str, impu: &str) -> Uaa {
        self.uar_of(impi, impu, UserAuthorizationType::Registration)
    }

    pub fn uar_of(&mut self, impi: &str, impu: &str, authorization_type: UserAuthorizationType) -> Uaa {
        let uar = Uar {
            user_name: impi.to_owned(),
            public_identity: impu.to_owned(),
            visited_network: DOMAIN.as_bytes().to_vec(),
            authorization_type,
            ..Uar::default()
        };
        let CxAnswer::Uaa(uaa) = self.ask(CxRequest::Uar(uar)) else { panic!("a UAA answers a UAR") };
        uaa
    }

    pub fn mar(&mut self, impi: &str, impu: &str, server: &str) -> Maa {
        self.mar_of(mar(impi, impu, server))
    }

    pub fn mar_of(&mut self, mar: Mar) -> Maa {
        let CxAnswer::Maa(maa) = self.ask(CxRequest::Mar(mar)) else { panic!("an MAA answers an MAR") };
        maa
    }

    pub fn sar(
        &mut self,
        impi: &str,
        impu: &str,
        server: &str,
        assignment_type: ServerAssignmentType,
    ) -> Saa {
        self.sar_of(sar(impi, impu, server, assignment_type))
    }

    pub fn sar_of(&mut self, sar: Sar) -> Saa {
        let CxAnswer::Saa(saa) = self.ask(CxRequest::Sar(sar)) else { panic!("an SAA answers an SAR") };
        saa
    }

    pub fn lir(&mut self, impu: &str) -> Lia {
        self.lir_of(Lir { public_identity: impu.to_owned(), ..Lir::default() })
    }

    pub fn lir_of(&mut self, lir: Lir) -> Lia {
        let CxAnswer::Lia(lia) = self.ask(CxRequest::Lir(lir)) else { panic!("an LIA answers an LIR") };
        lia
    }

    /// UAR, MAR, SAR: a whole registration.
    pub fn register(&mut self, impi: &str, impu: &str, server: &str) {
        assert!(self.uar(impi, impu).result.is_success());
        assert_eq!(self.mar(impi, impu, server).result, CxResult::SUCCESS);
        let saa = self.sar(impi, impu, server, ServerAssignmentType::Registration);
        assert_eq!(saa.result, CxResult::SUCCESS);
    }
}

pub fn mar(impi: &str, impu: &str, server: &str) -> Mar {
    Mar {
        user_name: impi.to_owned(),
        public_identity: impu.to_owned(),
        auth_data_item: AuthDataItem { scheme: Some(AuthScheme::DigestAkaV1Md5), ..AuthDataItem::default() },
        number_auth_items: 1,
        server_name: server.to_owned(),
        ..Mar::default()
    }
}

pub fn sar(impi: &str, impu: &str, server: &str, assignment_type: ServerAssignmentType) -> Sar {
    Sar {
        server_name: server.to_owned(),
        assignment_type,
        user_name: Some(impi.to_owned()),
        public_identities: vec![impu.to_owned()],
        ..Sar::default()
    }
}
