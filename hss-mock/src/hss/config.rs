//! What an HSS is told at its start.

use crate::assignment::KeepServer;
use crate::personality::Personality;
use crate::profile::SharedCriteria;
use diameter_client::cx::{ALIAS_IND, IMS_RESTORATION_IND, P_CSCF_RESTORATION, SIFC, SupportedFeatures};

/// The settings of an HSS.
#[derive(Clone, Debug)]
pub struct HssConfig {
    /// How many sequence numbers are made durable at once; a restart skips at most so many.
    pub sqn_batch: u32,
    /// The most vectors in one answer.
    pub vectors_max: u32,
    /// How many requests and commands may wait for one subscription; above it they are told TOO_BUSY.
    pub line_max: usize,
    /// Whether an S-CSCF may keep a user who is gone.
    pub keep_server: KeepServer,
    /// Whose habits to show.
    pub personality: Personality,
    /// The S-CSCF that some personalities name when they know none: its SIP URI.
    pub scscf_pool: String,
    /// Sets of filter criteria that profiles name by number.
    pub shared_ifc: SharedCriteria,
    /// Our features.
    pub features: Vec<SupportedFeatures>,
}

impl Default for HssConfig {
    fn default() -> HssConfig {
        HssConfig {
            sqn_batch: 32,
            vectors_max: 5,
            line_max: 64,
            keep_server: KeepServer::Yes,
            personality: Personality::ThreeGpp,
            scscf_pool: String::new(),
            shared_ifc: SharedCriteria::new(),
            features: vec![SupportedFeatures::cx(
                SIFC | ALIAS_IND | IMS_RESTORATION_IND | P_CSCF_RESTORATION,
            )],
        }
    }
}
