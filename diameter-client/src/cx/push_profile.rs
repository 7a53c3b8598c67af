//! Push-Profile: the HSS replaces what an S-CSCF knows of a user (TS 29.228 §6.2.2).

use super::body::Body;
use super::{AnswerDetails, AuthDataItem, ChargingInformation, CxResult, Fault, SupportedFeatures};
use crate::dictionary::avp;
use crate::wire::{RawAvp, Writer};

/// Push-Profile-Request, HSS to S-CSCF; its Destination-Host is in the envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ppr {
    /// User-Name: the private identity.
    pub user_name: String,
    /// User-Data: the whole profile of one implicit registration set, as XML.
    pub user_data: Option<Vec<u8>>,
    /// Charging-Information.
    pub charging_information: Option<ChargingInformation>,
    /// SIP-Auth-Data-Item: new digest credentials.
    pub auth_data_item: Option<AuthDataItem>,
    /// Supported-Features.
    pub supported_features: Vec<SupportedFeatures>,
    /// AVPs that this crate does not know, as they came.
    pub unknown: Vec<RawAvp>,
}

impl Ppr {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.text(&avp::USER_NAME, &self.user_name);
        SupportedFeatures::write_all(&self.supported_features, writer);
        writer.octets_if(&avp::USER_DATA, self.user_data.as_deref());
        if let Some(charging) = &self.charging_information {
            charging.write(writer);
        }
        if let Some(item) = &self.auth_data_item {
            item.write(writer);
        }
        writer.raws(&self.unknown);
    }

    pub(crate) fn read(body: &mut Body<'_>) -> Result<Ppr, Fault> {
        Ok(Ppr {
            user_name: body.text(&avp::USER_NAME)?,
            user_data: body.octets_if(&avp::USER_DATA)?,
            charging_information: ChargingInformation::take(body)?,
            auth_data_item: body.group_if(&avp::SIP_AUTH_DATA_ITEM, AuthDataItem::read)?,
            supported_features: SupportedFeatures::take_all(body)?,
            unknown: body.rest()?,
        })
    }
}

/// Push-Profile-Answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ppa {
    /// SUCCESS, or why the old profile stays.
    pub result: CxResult,
    /// Features, diagnosis and unknown AVPs.
    pub details: AnswerDetails,
}
