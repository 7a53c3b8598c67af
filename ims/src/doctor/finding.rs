//! What a check comes to.

/// One line of the doctor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// What it came to.
    pub verdict: Verdict,
}

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good(String),
    /// It does not apply, or could not be looked at; why.
    Skipped(String),
    /// It works, and may not for long or not for all.
    Warn {
        /// What was found.
        what: String,
        /// What to do.
        fix: String,
    },
    /// Something does not work.
    Bad {
        /// What was found.
        what: String,
        /// What to do.
        fix: String,
    },
}

impl Finding {
    /// A check and its verdict.
    pub fn new(check: &'static str, verdict: Verdict) -> Finding {
        Finding { check, verdict }
    }
}

impl Verdict {
    /// As it should be.
    pub fn good(what: impl Into<String>) -> Verdict {
        Verdict::Good(what.into())
    }

    /// Not looked at.
    pub fn skipped(what: impl Into<String>) -> Verdict {
        Verdict::Skipped(what.into())
    }

    /// To be looked after.
    pub fn warn(what: impl Into<String>, fix: impl Into<String>) -> Verdict {
        Verdict::Warn { what: what.into(), fix: fix.into() }
    }

    /// Broken.
    pub fn bad(what: impl Into<String>, fix: impl Into<String>) -> Verdict {
        Verdict::Bad { what: what.into(), fix: fix.into() }
    }

    /// Whether something does not work.
    pub fn is_bad(&self) -> bool {
        matches!(self, Verdict::Bad { .. })
    }
}
