//! Habits of other HSSs, put on for a test of how a core bears them.
//!
//! A transformation of the answer that TS 29.228 asks for; what is decided and remembered stays the same.

use diameter_client::cx::{CxAnswer, CxResult, ServerCapabilities};
use std::str::FromStr;

/// Whose habits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Personality {
    /// The specification's.
    #[default]
    ThreeGpp,
    /// PyHSS: always names an S-CSCF, never sends capabilities, one vector at a time with number 0.
    PyHss,
    /// Open5GS: sends neither name nor capabilities at first; takes the scheme `Unknown` for AKA.
    Open5gs,
    /// FHoSS: capabilities always come with the name of an S-CSCF.
    FHoss,
}

impl FromStr for Personality {
    type Err = String;

    fn from_str(text: &str) -> Result<Personality, String> {
        match text {
            "3gpp" => Ok(Personality::ThreeGpp),
            "pyhss" => Ok(Personality::PyHss),
            "open5gs" => Ok(Personality::Open5gs),
            "fohss" => Ok(Personality::FHoss),
            other => Err(format!("no personality {other}: 3gpp, pyhss, open5gs, fohss")),
        }
    }
}

impl Personality {
    /// Whether the scheme `Unknown` gives an AKA user vectors; TS 29.228 wants it refused.
    pub fn takes_unknown_for_aka(self) -> bool {
        self == Personality::Open5gs
    }

    /// The most vectors in one answer.
    pub fn vectors_max(self, configured: u32) -> u32 {
        if self == Personality::PyHss { 1 } else { configured }
    }

    /// The answer as that HSS would have sent it; `pool` is the S-CSCF that it names when it knows none.
    pub fn dress(self, answer: CxAnswer, pool: &str) -> CxAnswer {
        match self {
            Personality::ThreeGpp => answer,
            Personality::PyHss => pyhss(answer, pool),
            Personality::Open5gs => open5gs(answer),
            Personality::FHoss => fhoss(answer, pool),
        }
    }
}

fn pyhss(mut answer: CxAnswer, pool: &str) -> CxAnswer {
    match &mut answer {
        CxAnswer::Uaa(uaa) if uaa.result.is_success() => {
            uaa.server_capabilities = None;
            uaa.server_name.get_or_insert_with(|| pool.to_owned());
        }
        CxAnswer::Maa(maa) => maa.auth_data_items.iter_mut().for_each(|item| item.item_number = Some(0)),
        CxAnswer::Saa(saa) if saa.result == CxResult::USER_UNKNOWN => {
            saa.result = CxResult::IDENTITY_ALREADY_REGISTERED;
        }
        CxAnswer::Lia(lia)
            if lia.result == CxResult::UNREGISTERED_SERVICE
                || lia.result == CxResult::IDENTITY_NOT_REGISTERED =>
        {
            lia.result = CxResult::SUCCESS;
            lia.server_capabilities = None;
            lia.server_name = Some(pool.to_owned());
        }
        _ => {}
    }
    answer
}

fn open5gs(mut answer: CxAnswer) -> CxAnswer {
    match &mut answer {
        CxAnswer::Uaa(uaa) => uaa.server_capabilities = None,
        CxAnswer::Lia(lia)
            if lia.result == CxResult::UNREGISTERED_SERVICE
                || lia.result == CxResult::IDENTITY_NOT_REGISTERED =>
        {
            lia.result = CxResult::SUCCESS_SERVER_NAME_NOT_STORED;
            lia.server_capabilities = None;
        }
        _ => {}
    }
    answer
}

fn fhoss(mut answer: CxAnswer, pool: &str) -> CxAnswer {
    let with_name = |capabilities: &mut Option<ServerCapabilities>| {
        let capabilities = capabilities.get_or_insert_default();
        if capabilities.server_names.is_empty() {
            capabilities.server_names.push(pool.to_owned());
        }
    };
    match &mut answer {
        CxAnswer::Uaa(uaa) if uaa.result == CxResult::FIRST_REGISTRATION => {
            with_name(&mut uaa.server_capabilities);
        }
        CxAnswer::Lia(lia) if lia.result == CxResult::UNREGISTERED_SERVICE => {
            with_name(&mut lia.server_capabilities);
        }
        _ => {}
    }
    answer
}
