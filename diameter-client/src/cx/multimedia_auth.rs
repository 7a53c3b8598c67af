//! Multimedia-Auth: authentication vectors, and resynchronisation of SQN (TS 29.228 §6.3).

use super::body::Body;
use super::{AnswerDetails, AuthDataItem, CxResult, Fault, SupportedFeatures};
use crate::dictionary::avp;
use crate::wire::{RawAvp, Writer};
use smallvec::SmallVec;

/// Multimedia-Auth-Request, S-CSCF to HSS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mar {
    /// User-Name: the private identity.
    pub user_name: String,
    /// Public-Identity that registers.
    pub public_identity: String,
    /// SIP-Auth-Data-Item: the scheme, and RAND with AUTS when the UE's SQN ran away.
    pub auth_data_item: AuthDataItem,
    /// SIP-Number-Auth-Items: how many vectors are wanted.
    pub number_auth_items: u32,
    /// Server-Name: the S-CSCF that asks, as a SIP URI.
    pub server_name: String,
    /// Supported-Features.
    pub supported_features: Vec<SupportedFeatures>,
    /// AVPs that this crate does not know, as they came.
    pub unknown: Vec<RawAvp>,
}

impl Mar {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.text(&avp::USER_NAME, &self.user_name);
        SupportedFeatures::write_all(&self.supported_features, writer);
        writer.text(&avp::PUBLIC_IDENTITY, &self.public_identity);
        self.auth_data_item.write(writer);
        writer.unsigned32(&avp::SIP_NUMBER_AUTH_ITEMS, self.number_auth_items);
        writer.text(&avp::SERVER_NAME, &self.server_name);
        writer.raws(&self.unknown);
    }

    pub(crate) fn read(body: &mut Body<'_>) -> Result<Mar, Fault> {
        Ok(Mar {
            user_name: body.text(&avp::USER_NAME)?,
            public_identity: body.text(&avp::PUBLIC_IDENTITY)?,
            auth_data_item: body.group(&avp::SIP_AUTH_DATA_ITEM, AuthDataItem::read)?,
            number_auth_items: body.unsigned32(&avp::SIP_NUMBER_AUTH_ITEMS)?,
            server_name: body.text(&avp::SERVER_NAME)?,
            supported_features: SupportedFeatures::take_all(body)?,
            unknown: body.rest()?,
        })
    }
}

/// Multimedia-Auth-Answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maa {
    /// SUCCESS, or why not.
    pub result: CxResult,
    /// User-Name.
    pub user_name: Option<String>,
    /// Public-Identity.
    pub public_identity: Option<String>,
    /// SIP-Number-Auth-Items: how many vectors follow.
    pub number_auth_items: Option<u32>,
    /// SIP-Auth-Data-Item, as received; [`Maa::in_order`] gives them in the order of use.
    pub auth_data_items: Vec<AuthDataItem>,
    /// Features, diagnosis and unknown AVPs.
    pub details: AnswerDetails,
}

impl Maa {
    /// The vectors in the order of use: by SIP-Item-Number, those without one as they came.
    pub fn in_order(&self) -> SmallVec<[&AuthDataItem; 4]> {
        let mut items: SmallVec<[_; 4]> = self.auth_data_items.iter().collect();
        items.sort_by_key(|item| item.item_number);
        items
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.text_if(&avp::USER_NAME, self.user_name.as_deref());
        writer.text_if(&avp::PUBLIC_IDENTITY, self.public_identity.as_deref());
        writer.unsigned32_if(&avp::SIP_NUMBER_AUTH_ITEMS, self.number_auth_items);
        for item in &self.auth_data_items {
            item.write(writer);
        }
    }

    pub(crate) fn read(body: &mut Body<'_>, result: CxResult) -> Result<Maa, Fault> {
        Ok(Maa {
            result,
            user_name: body.text_if(&avp::USER_NAME)?,
            public_identity: body.text_if(&avp::PUBLIC_IDENTITY)?,
            number_auth_items: body.unsigned32_if(&avp::SIP_NUMBER_AUTH_ITEMS)?,
            auth_data_items: body.groups(&avp::SIP_AUTH_DATA_ITEM, AuthDataItem::read)?,
            details: AnswerDetails::default(),
        })
    }
}
