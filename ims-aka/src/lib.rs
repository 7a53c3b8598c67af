//! IMS-AKA: MILENAGE, TUAK, sequence numbers, AKA digest.
