"""How much of everything: a full run, or a quick one that shows that everything works."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What one run of `bench/growth` measures."""

    # Registered UEs.
    registered: tuple = (1_000, 10_000, 100_000)
    # Subscribers of the HSS, of whom so many register, spread over all.
    subscribers: tuple = (10_000, 100_000, 900_000)
    subscribers_registered: int = 10_000
    # Filter criteria in the profile, none of which matches.
    criteria: tuple = (0, 2, 10, 50)
    criteria_registered: int = 5_000
    # Calls that stand while others are measured.
    dialogs: tuple = (0, 1_000, 10_000, 50_000)
    dialogs_registered: int = 5_000
    dialogs_rate: float = 300
    # All UEs register again within so many seconds.
    storm: int = 100_000
    storm_s: float = 60
    # Calls that stand at once, and how fast they come and go.
    hold: int = 50_000
    hold_rate: float = 300
    hold_ues: int = 20_000
    # TCP connections, how fast their UEs register, and how many texts then go over them each second.
    connections: int = 100_000
    connections_rate: float = 500
    connections_messages: float = 300
    # Seconds of one measurement, and how often it is repeated.
    duration_s: float = 20
    runs: int = 3
    # Rates of the scenarios whose cost is measured.
    rates: tuple = (("register", 300), ("reregister", 500), ("call", 200), ("message", 500))
    register_rate: float = 1_000
    # The T1 of the P-CSCF towards UEs, and after which time everything has lingered out: 64 times that, and some.
    access_t1: str = "2s"
    linger_s: float = 140


FULL = Sizes()

QUICK = Sizes(
    registered=(500, 2_000), subscribers=(2_000, 20_000), subscribers_registered=1_000, criteria=(0, 10),
    criteria_registered=500, dialogs=(0, 1_000), dialogs_registered=500, dialogs_rate=100, storm=4_000, storm_s=10,
    hold=1_500, hold_rate=100, hold_ues=1_000, connections=3_000, connections_rate=200, connections_messages=100,
    duration_s=5, runs=1, rates=(("register", 100), ("reregister", 200), ("call", 50), ("message", 200)),
    register_rate=400, access_t1="500ms", linger_s=45)
