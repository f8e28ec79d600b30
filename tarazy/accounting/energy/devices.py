"""What a count of a register means: the device that stands at a metering point, from when on, as it was known.

Without any device recorded, a meter is one of its registered profile, without transformers, since ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fractions import Fraction

from sqlalchemy import Connection, insert, select

from tarazy.accounting.energy.meter import Quantity
from tarazy.accounting.energy.profiles import Profile, load_profile
from tarazy.accounting.energy.tables import device, due, settled

EVER = datetime(1, 1, 1, tzinfo=UTC)
_MOST = 2**63
_LARGEST_RATIO = 10**6


@dataclass(frozen=True)
class Fitting:
    """A device fitted at a metering point: since when, with which transformers and counts."""

    meter: str
    since: datetime
    profile: str
    serial: str | None = None
    ct_ratio: Fraction = Fraction(1)
    vt_ratio: Fraction = Fraction(1)
    maximum_power_w: int | None = None
    """What the feeder can carry, in watts; None: what the profile says."""
    initial_import: int | None = None
    final_import: int | None = None
    """Last count of the device before it; None when it could not be read."""
    initial_export: int | None = None
    final_export: int | None = None
    why: str | None = None


@dataclass(frozen=True)
class Device:
    """One register of a metering point, while one device stands there."""

    since: datetime
    wh_per_count: Fraction
    """Transformers included."""
    counts: int
    """Number of values the register runs through before it starts again from 0."""
    maximum_power_w: int
    initial: int | None = None
    final_before: int | None = None
    """Last count of the device before it."""

    @staticmethod
    def of(profile: Profile) -> Device:
        """One of that kind, without transformers, since ever."""
        return Device(EVER, profile.wh_per_count, profile.counts, profile.maximum_power_w)


def of_fitting(fitting: Fitting, quantity: Quantity = "import") -> Device:
    """The register of `quantity` of a fitted device. Raises `ProfileError`."""
    profile = load_profile(fitting.profile)
    imports = quantity == "import"
    return Device(
        fitting.since,
        profile.wh_per_count * fitting.ct_ratio * fitting.vt_ratio,
        profile.counts,
        fitting.maximum_power_w or profile.maximum_power_w,
        fitting.initial_import if imports else fitting.initial_export,
        fitting.final_import if imports else fitting.final_export,
    )


def devices_of(
    connection: Connection, meter: str, profile: str, quantity: Quantity = "import", known_at: datetime | None = None
) -> list[Device]:
    """The devices of a meter of the registered `profile` in order, the first since ever. Raises `ProfileError`."""
    return devices_from(fittings(connection, [meter], known_at)[meter], profile, quantity)


def devices_from(fitted: Iterable[Fitting], profile: str, quantity: Quantity = "import") -> list[Device]:
    """The same of what was `fitted`, in order."""
    return [Device.of(load_profile(profile)), *(of_fitting(each, quantity) for each in fitted)]


def fittings(
    connection: Connection, meters: Collection[str], known_at: datetime | None = None
) -> dict[str, list[Fitting]]:
    """What was fitted at each of `meters`, as known at an instant, in the order of time."""
    query = select(device).where(device.c.meter.in_(meters)).order_by(device.c.device)
    if known_at is not None:
        query = query.where(device.c.recorded_at <= known_at)
    newest = {(row.meter, row.since): row for row in connection.execute(query)}
    found: dict[str, list[Fitting]] = {meter: [] for meter in meters}
    for _, row in sorted(newest.items()):
        found[row.meter].append(
            Fitting(
                row.meter,
                row.since,
                row.profile,
                row.serial,
                Fraction(row.ct_ratio),
                Fraction(row.vt_ratio),
                row.maximum_power_w,
                row.initial_import,
                row.final_import,
                row.initial_export,
                row.final_export,
                row.why,
            )
        )
    return found


def fit(connection: Connection, fitting: Fitting, by: str, recorded_at: datetime) -> None:
    """Record what was fitted; its meter's intervals from then on are derived again. Raises `ValueError`."""
    profile = load_profile(fitting.profile)
    for name in ("initial_import", "final_import", "initial_export", "final_export"):
        count = getattr(fitting, name)
        most = _MOST if name.startswith("final") else profile.counts
        if count is not None and not 0 <= count < most:
            raise ValueError(f"{name}: the register runs from 0 to {most - 1}")
    for name in ("ct_ratio", "vt_ratio"):
        ratio: Fraction = getattr(fitting, name)
        if not 0 < ratio <= _LARGEST_RATIO or ratio.denominator > _LARGEST_RATIO:
            raise ValueError(f"{name}: expected primary/secondary, such as 400/5")
    if fitting.since > recorded_at:
        raise ValueError(f"{fitting.since.isoformat()} lies in the future")
    folded = connection.scalar(select(settled.c.folded_until).where(settled.c.meter == fitting.meter))
    if folded is not None and fitting.since < folded:
        raise ValueError(f"the energy of {fitting.meter} up to {folded.isoformat()} is folded and changes no more")
    row = {**asdict(fitting), "ct_ratio": str(fitting.ct_ratio), "vt_ratio": str(fitting.vt_ratio)}
    connection.execute(insert(device), {**row, "recorded_by": by, "recorded_at": recorded_at})
    connection.execute(insert(due), {"meter": fitting.meter, "since": fitting.since})
