//! A Cx HSS for labs: pure HSS, subscriber stores and provisioning.
