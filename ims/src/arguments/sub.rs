//! `ims sub`: subscribers.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `ims sub`.
#[derive(Debug, Args)]
pub struct Sub {
    /// Change the running HSS too, after the file or the database.
    #[arg(long, global = true)]
    pub running: bool,
    /// The configuration, which names the subscribers.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do with them.
    #[command(subcommand)]
    pub command: SubCommand,
}

/// What to do with subscribers.
#[derive(Debug, Subcommand)]
pub enum SubCommand {
    /// Adds one.
    Add(SubAdd),
    /// Lists them all.
    List,
    /// Shows one.
    Show {
        /// A name, number or identity.
        subscriber: String,
    },
    /// Removes one.
    Remove {
        /// A name, number or identity.
        subscriber: String,
    },
    /// Adds those of a CSV file.
    Import {
        /// The file; columns in any order, unknown ones are passed over.
        file: PathBuf,
    },
    /// Makes up subscribers with random keys and prints them as CSV.
    Gen(SubGen),
}

/// `ims sub gen`.
#[derive(Debug, Args)]
pub struct SubGen {
    /// How many.
    pub count: u32,
    /// The number of the first one in the PLMN (MSIN).
    #[arg(long, default_value_t = 1)]
    pub first: u64,
    /// The telephone number of the first one; each further one is one higher.
    #[arg(long)]
    pub msisdn: Option<u64>,
    /// Without a name for people, and the SIP identity that it makes.
    #[arg(long)]
    pub unnamed: bool,
    /// A filter criterion that all of them have: requests of this method go to this application server. May be given
    /// more than once, the first goes first.
    #[arg(long, value_name = "METHOD=URI")]
    pub ifc: Vec<String>,
}

/// `ims sub add`.
#[derive(Debug, Args)]
pub struct SubAdd {
    /// The user's name, which becomes a SIP identity too.
    pub name: String,
    /// The IMSI, 14 or 15 digits.
    #[arg(long)]
    pub imsi: String,
    /// The telephone number with country code.
    #[arg(long)]
    pub msisdn: Option<String>,
    /// The subscriber key, 32 hex digits.
    #[arg(long)]
    pub k: String,
    /// The operator's field bound to the key, 32 hex digits.
    #[arg(long, required_unless_present = "op", conflicts_with = "op")]
    pub opc: Option<String>,
    /// The operator's field: OPc is computed from it, and only OPc is kept.
    #[arg(long)]
    pub op: Option<String>,
}

#[cfg(test)]
mod tests {
    use crate::arguments::Arguments;
    use clap::Parser;

    #[test]
    fn a_subscriber_has_opc_or_op_and_not_both() {
        let add = |more: &[&str]| {
            let words = ["ims", "sub", "add", "carol", "--imsi", "001010000000003", "--k", "00"];
            Arguments::try_parse_from(words.iter().chain(more))
        };
        assert!(add(&["--opc", "00"]).is_ok());
        assert!(add(&["--op", "00"]).is_ok());
        assert!(add(&[]).is_err());
        assert!(add(&["--op", "00", "--opc", "00"]).is_err());
    }
}
