//! Supported-Features: what both ends can do beyond the first release (TS 29.229 §6.3.29, §7).

use super::body::Body;
use super::{CxResult, Fault};
use crate::dictionary::{VENDOR_3GPP, avp};
use crate::wire::{AVP_MANDATORY, RawAvp, Writer};

/// One feature list of a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedFeatures {
    /// Whose list it is; 10415 for Cx's own.
    pub vendor: u32,
    /// Feature-List-ID; 1 is the only list of Cx.
    pub list_id: u32,
    /// Feature-List, a bit for each feature.
    pub features: u32,
    /// Whether the M bit is set: the request must be refused if a feature in it is not supported. Never in answers.
    pub is_required: bool,
}

/// Shared iFC sets (TS 29.229 §7.1.1, bit 0).
pub const SIFC: u32 = 1 << 0;
/// Alias indication (bit 1), which every node supports.
pub const ALIAS_IND: u32 = 1 << 1;
/// IMS restoration (bit 2).
pub const IMS_RESTORATION_IND: u32 = 1 << 2;
/// P-CSCF restoration mechanism (bit 3).
pub const P_CSCF_RESTORATION: u32 = 1 << 3;

impl SupportedFeatures {
    /// Cx's list 1 with these features, not required.
    pub fn cx(features: u32) -> SupportedFeatures {
        SupportedFeatures { vendor: VENDOR_3GPP, list_id: 1, features, is_required: false }
    }

    /// Refuses a request that requires what `own` does not have (TS 29.229 §7.2.1).
    ///
    /// The refusal, and every other answer, lists `own` in its Supported-Features.
    pub fn check(requested: &[SupportedFeatures], own: &[SupportedFeatures]) -> Result<(), CxResult> {
        let is_met = |list: &SupportedFeatures| {
            let have = own.iter().find(|o| (o.vendor, o.list_id) == (list.vendor, list.list_id));
            list.features & !have.map_or(0, |o| o.features) == 0
        };
        if requested.iter().filter(|list| list.is_required).all(is_met) {
            Ok(())
        } else {
            Err(CxResult::FEATURE_UNSUPPORTED)
        }
    }

    /// The features of Cx's list 1 that both ends have.
    pub fn common(theirs: &[SupportedFeatures], own: &[SupportedFeatures]) -> u32 {
        let bits = |lists: &[SupportedFeatures]| {
            lists
                .iter()
                .filter(|l| (l.vendor, l.list_id) == (VENDOR_3GPP, 1))
                .fold(0, |all, l| all | l.features)
        };
        bits(theirs) & bits(own)
    }

    pub(crate) fn write_all(lists: &[SupportedFeatures], writer: &mut Writer) {
        for list in lists {
            let mut inside = Writer::fragment();
            inside.unsigned32(&avp::VENDOR_ID, list.vendor);
            inside.unsigned32(&avp::FEATURE_LIST_ID, list.list_id);
            inside.unsigned32(&avp::FEATURE_LIST, list.features);
            writer.raw(&RawAvp {
                code: avp::SUPPORTED_FEATURES.code,
                vendor: avp::SUPPORTED_FEATURES.vendor,
                flags: if list.is_required { AVP_MANDATORY } else { 0 },
                data: inside.into_avps(),
            });
        }
    }

    pub(crate) fn take_all(body: &mut Body<'_>) -> Result<Vec<SupportedFeatures>, Fault> {
        let required: Vec<bool> = body.peek_mandatory(&avp::SUPPORTED_FEATURES).collect();
        let lists = body.groups(&avp::SUPPORTED_FEATURES, |inside| {
            Ok(SupportedFeatures {
                vendor: inside.unsigned32(&avp::VENDOR_ID)?,
                list_id: inside.unsigned32(&avp::FEATURE_LIST_ID)?,
                features: inside.unsigned32(&avp::FEATURE_LIST)?,
                is_required: false,
            })
        })?;
        Ok(lists
            .into_iter()
            .zip(required)
            .map(|(list, is_required)| SupportedFeatures { is_required, ..list })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_feature_that_is_missing_refuses_and_an_optional_one_does_not() {
        let own = [SupportedFeatures::cx(SIFC | ALIAS_IND)];
        let optional = SupportedFeatures::cx(SIFC | P_CSCF_RESTORATION);
        let required = SupportedFeatures { is_required: true, ..optional };
        assert_eq!(SupportedFeatures::check(&[optional], &own), Ok(()));
        assert_eq!(SupportedFeatures::check(&[required], &own), Err(CxResult::FEATURE_UNSUPPORTED));
        assert_eq!(
            SupportedFeatures::check(&[SupportedFeatures { features: SIFC, ..required }], &own),
            Ok(())
        );
        assert_eq!(SupportedFeatures::common(&[optional], &own), SIFC);
    }
}
