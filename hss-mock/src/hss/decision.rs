//! The decision on one request: each command's own file decides, here is what it is given.

use super::Hss;
use crate::assignment::{self, Assignment};
use crate::authentication::{self, Vectors};
use crate::profile::{self, SharedSupport};
use crate::registration::Server;
use crate::sequence::Sequence;
use crate::{authorization, location};
use diameter_client::cx::{CxAnswer, CxRequest, CxResult, SIFC, Saa, SupportedFeatures};

impl Hss {
    /// The answer to a request about the subscription `name`, whose dynamic data changes with it.
    pub(super) fn decide(
        &mut self,
        name: &str,
        request: &CxRequest,
        (host, realm): (String, String),
    ) -> CxAnswer {
        let (Some(subscriber), Some(served)) = (self.directory.get(name), self.served.get_mut(name)) else {
            return request.refuse(CxResult::USER_UNKNOWN);
        };
        let registration = &mut served.registration;
        match request {
            CxRequest::Uar(uar) => {
                let Ok(located) = self.directory.associated(&uar.user_name, &uar.public_identity) else {
                    return request.refuse(CxResult::USER_UNKNOWN);
                };
                CxAnswer::Uaa(authorization::answer(subscriber, located.set, registration, uar))
            }
            CxRequest::Lir(lir) => {
                let Some(located) = self.directory.locate(&lir.public_identity) else {
                    return request.refuse(CxResult::USER_UNKNOWN);
                };
                CxAnswer::Lia(location::answer(subscriber, &located, registration, lir))
            }
            CxRequest::Mar(mar) => {
                let located = self.directory.associated(&mar.user_name, &mar.public_identity);
                let identity = subscriber.private_identity(&mar.user_name);
                let (Ok(located), Some(identity)) = (located, identity) else {
                    return request.refuse(CxResult::USER_UNKNOWN);
                };
                let personality = self.config.personality;
                let vectors = Vectors {
                    entropy: &mut self.entropy,
                    sequence: served
                        .sequences
                        .entry(mar.user_name.clone())
                        .or_insert_with(|| Sequence::after(identity.sqn)),
                    sqn_batch: self.config.sqn_batch,
                    count_max: personality.vectors_max(self.config.vectors_max),
                };
                let server = Server { name: mar.server_name.clone(), host, realm };
                let set = located.set;
                CxAnswer::Maa(authentication::answer(
                    identity,
                    set,
                    registration,
                    server,
                    mar,
                    personality,
                    vectors,
                ))
            }
            CxRequest::Sar(sar) => {
                let Ok(assigned) = assignment::identify(&self.directory, sar) else {
                    return request.refuse(CxResult::USER_UNKNOWN);
                };
                let support =
                    match SupportedFeatures::common(&sar.supported_features, &self.config.features) & SIFC {
                        0 => SharedSupport::WrittenOut,
                        _ => SharedSupport::ByNumber,
                    };
                let shared = &self.config.shared_ifc;
                let user_data = |position: usize, impi: &str| match subscriber.implicit_sets.get(position) {
                    Some(set) => profile::user_data(subscriber, set, impi, shared, support),
                    None => Vec::new(),
                };
                let saa: Saa = Assignment {
                    subscriber,
                    assigned: &assigned,
                    server: Server { name: sar.server_name.clone(), host, realm },
                    keep_server: self.config.keep_server,
                    user_data: &user_data,
                }
                .answer(registration, sar);
                CxAnswer::Saa(saa)
            }
            CxRequest::Rtr(_) | CxRequest::Ppr(_) => request.refuse(CxResult::COMMAND_UNSUPPORTED),
        }
    }
}
