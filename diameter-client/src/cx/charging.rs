//! Charging-Information: where charging events go (TS 29.229 §6.3.19).

use super::Fault;
use super::body::Body;
use crate::dictionary::avp;
use crate::wire::Writer;

/// Addresses of the charging functions, as DiameterURI.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChargingInformation {
    /// Primary-Event-Charging-Function-Name.
    pub primary_ecf: Option<String>,
    /// Secondary-Event-Charging-Function-Name.
    pub secondary_ecf: Option<String>,
    /// Primary-Charging-Collection-Function-Name.
    pub primary_ccf: Option<String>,
    /// Secondary-Charging-Collection-Function-Name.
    pub secondary_ccf: Option<String>,
}

impl ChargingInformation {
    /// Whether it names a primary function, without which it may not be sent (TS 29.228 §6.1.2).
    pub fn has_primary(&self) -> bool {
        self.primary_ecf.is_some() || self.primary_ccf.is_some()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.group(&avp::CHARGING_INFORMATION, |w| {
            w.text_if(&avp::PRIMARY_ECF, self.primary_ecf.as_deref());
            w.text_if(&avp::SECONDARY_ECF, self.secondary_ecf.as_deref());
            w.text_if(&avp::PRIMARY_CCF, self.primary_ccf.as_deref());
            w.text_if(&avp::SECONDARY_CCF, self.secondary_ccf.as_deref());
        });
    }

    pub(crate) fn take(body: &mut Body<'_>) -> Result<Option<ChargingInformation>, Fault> {
        body.group_if(&avp::CHARGING_INFORMATION, |inside| {
            Ok(ChargingInformation {
                primary_ecf: inside.text_if(&avp::PRIMARY_ECF)?,
                secondary_ecf: inside.text_if(&avp::SECONDARY_ECF)?,
                primary_ccf: inside.text_if(&avp::PRIMARY_CCF)?,
                secondary_ccf: inside.text_if(&avp::SECONDARY_CCF)?,
            })
        })
    }
}
