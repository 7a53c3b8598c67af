//! IETF SIP without IO or clock: messages, transactions, proxy core, dialogs.
