"""Carillon beside Kamailio: the parts of `bench/versus`."""
