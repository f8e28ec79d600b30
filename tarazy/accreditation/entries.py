"""The registers' rows as typed values: what each register holds, with the rule for each column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

from tarazy.accreditation.fields import (
    EVIDENCE,
    FINDING_KEY,
    FLAG,
    NETWORKS,
    TEXT,
    VALID_FROM,
    VALID_TO,
    Account,
    Address,
    Bin,
    Bytes,
    Coordinates,
    Count,
    Country,
    Day,
    Digest,
    Email,
    EnergyParts,
    EntryNumber,
    Field,
    HashRate,
    Host,
    KilowattHours,
    LicenceNumber,
    ModbusUnit,
    Month,
    Number,
    PartyKey,
    Phone,
    Port,
    Price,
    Rank,
    RegisterName,
    SiteKey,
    Slug,
    Text,
    Watts,
    one_of,
)


class PartyKind(StrEnum):
    """What a party is in law."""

    LEGAL = "legal"
    ENTREPRENEUR = "entrepreneur"


class Jurisdiction(StrEnum):
    """Under whose law a party was founded: the Republic's, or that of the Astana International Financial Centre."""

    KZ = "KZ"
    AIFC = "AIFC"


class WalletStatus(StrEnum):
    """Where a payout address stands. Only an approved one is paid to."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"


class LicenceKind(StrEnum):
    """Sub-type of a mining licence: I with a data centre of one's own, II in someone else's."""

    OWN_DATA_CENTRE = "I"
    PLACED = "II"


class DocumentStatus(StrEnum):
    """Where a licence or certificate stands."""

    IN_FORCE = "in_force"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class SiteStatus(StrEnum):
    """Where a data centre stands."""

    ACCREDITED = "accredited"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"


class EnergySource(StrEnum):
    """Where a metering point's electricity comes from."""

    GRID = "grid"
    BILATERAL = "bilateral"
    IMPORT = "import"
    OWN = "own"
    OWN_RENEWABLE = "own_renewable"


class EnergyBy(StrEnum):
    """How a site's energy that no sub-meter tells is shared. The pool's rule or the parties' contract, no act's."""

    WORK = "work"
    """Accepted work, at the efficiency of the registered machines."""
    POWER = "power"
    """Nominal power of the registered machines, while their party works."""
    FIXED = "fixed"
    """Agreed parts."""


class EnergyRest(StrEnum):
    """Whose the rest is: cooling, losses, own use."""

    OWNER = "owner"
    PARTIES = "parties"
    """In proportion to what they used."""


class Source(StrEnum):
    """Who says which addresses lie in the country: three kinds of lists, and the register of sites."""

    BLOCKS = "blocks"
    RIR = "rir"
    MMDB = "mmdb"
    SITE = "site"


class ReadBy(StrEnum):
    """Who asks a meter for its register."""

    POOL = "pool"
    AGENT = "agent"
    """The site's agent, which pushes what it read."""
    MQTT = "mqtt"
    """Nobody: it tells it over MQTT, where the pool hears it."""


class MeterStatus(StrEnum):
    """Whether a meter can be relied on."""

    OK = "ok"
    FAULTY = "faulty"


class FindingKind(StrEnum):
    """What is not as it should be."""

    HASH_RATE = "hash-rate"
    """More work than the party's machines at the site can do."""
    NO_EQUIPMENT = "no-equipment"
    """Work, but no machine registered."""
    NO_WALLET = "no-wallet"
    """Work, but no approved address to be paid to."""
    WORKER_AT_TWO_SITES = "worker-at-two-sites"
    MACHINE_TWICE = "machine-twice"
    """Two entries of what seems one machine."""
    NO_PLACEMENT = "no-placement"
    """A licence of type II, and no place in anybody's data centre."""
    NO_OWN_SITE = "no-own-site"
    """A licence of type I, and no data centre of one's own."""
    SITE_POWER = "site-power"
    """Machines that together need more than the site is permitted."""
    SITE_NETWORKS = "site-networks"
    """Networks that overlap those of a site of another owner."""
    LICENCE_TERM = "licence-term"
    """A term or suspension that the law does not know."""
    BIN_TWICE = "bin-twice"
    """One BIN or IIN in two parties."""
    DOCUMENT_EXPIRED = "document-expired"
    EVIDENCE_DISAGREES = "evidence-disagrees"
    """Sources differ on where a registered network lies."""
    METER_SILENT = "meter-silent"
    """A meter that is asked and gives no reading."""
    METER_REGISTER = "meter-register"
    """A register that went backwards, or faster than its feeder can carry."""
    METER_REFUSED = "meter-refused"
    """A meter whose readings came in and could not be taken."""
    METER_STUCK = "meter-stuck"
    """A register that stands still while the site's machines work."""
    ENERGY_QUOTA = "energy-quota"
    """A site that nears its quota of energy for the month, or took more."""
    DRAWN_POWER = "drawn-power"
    """A site that drew nearly the power it is permitted, or more."""
    ENERGY_FLOOR = "energy-floor"
    """A site whose meters gave less than the best machines would need for its work."""
    ENERGY_DRIFT = "energy-drift"
    """A site whose energy for its work moved away from what it was."""
    UNIT_PRICE = "unit-price"
    """A site that bought energy whose price is not entered."""


class Severity(StrEnum):
    """How much a finding matters, the least first."""

    INFO = "info"
    WARNING = "warning"
    SERIOUS = "serious"


class FindingState(StrEnum):
    """Where a finding stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    """Somebody has it in hand."""
    RESOLVED = "resolved"
    DISMISSED = "dismissed"
    """Looked at and found to be no fault."""


OPEN_STATES = (FindingState.OPEN, FindingState.ACKNOWLEDGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One version of one entry. `entry`, `recorded_at` and `recorded_by` are given when it is recorded.

    A version without `corrects` says what holds in its time, over what earlier ones say of that time. One with it
    stands in place of the entry it names, which counts no more; if its end is its beginning, it only takes that back.
    """

    register: ClassVar[str]
    by_hand: ClassVar[bool] = True
    """Whether people fill it in, also by spreadsheets."""

    valid_from: Annotated[datetime, VALID_FROM]
    valid_to: Annotated[datetime | None, VALID_TO] = None
    """First instant at which the version no longer holds; None while open."""
    corrects: EntryNumber | None = None
    why: Annotated[str | None, TEXT] = None
    """Why it was recorded; a correction must say it."""
    note: Annotated[str | None, TEXT] = None
    entry: int = 0
    recorded_at: datetime | None = None
    recorded_by: str = ""

    @property
    def key(self) -> str:
        """Key of the entry: the same for all its versions."""
        value: str = getattr(self, self.register)
        return value

    def holds(self, instant: datetime) -> bool:
        """Whether this version, were it the only one, is valid at `instant`."""
        return self.valid_from <= instant and (self.valid_to is None or instant < self.valid_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party(Entry):
    """A miner: a legal entity or an individual entrepreneur of Kazakhstan."""

    register: ClassVar[str] = "party"

    party: Slug
    bin: Bin
    kind: Annotated[PartyKind, one_of(PartyKind)]
    account: Account
    name_kk: Text
    name_ru: Text
    name_en: Text
    jurisdiction: Annotated[Jurisdiction, one_of(Jurisdiction)] = Jurisdiction.KZ
    contract: Text | None = None
    """Number of its contract with the pool."""
    contract_on: Day | None = None
    contact: Text | None = None
    email: Email | None = None
    phone: Phone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet(Entry):
    """An address that a party is, was or is to be paid to. Of the approved ones the one that began last is paid to."""

    register: ClassVar[str] = "wallet"

    wallet: Slug
    party: PartyKey
    address: Address
    status: Annotated[WalletStatus, one_of(WalletStatus)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence(Entry):
    """A mining licence, known by its number."""

    register: ClassVar[str] = "licence"

    licence: Number
    party: PartyKey
    kind: Annotated[LicenceKind, one_of(LicenceKind)]
    issued_on: Day
    status: Annotated[DocumentStatus, one_of(DocumentStatus)]
    replaces: LicenceNumber | None = None
    """The licence that this one was issued anew for."""
    reason: Text | None = None
    """Why it is suspended or revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Entry):
    """A data centre: who owns it, where it is, from which networks its machines connect."""

    register: ClassVar[str] = "site"

    site: Slug
    party: PartyKey
    name: Text
    country: Country
    region: Text
    address: Text
    networks: Annotated[tuple[str, ...], NETWORKS]
    permitted_power_w: Watts
    status: Annotated[SiteStatus, one_of(SiteStatus)]
    coordinates: Coordinates | None = None
    grid_connection: Text | None = None
    """Its technical conditions: who connects it, under which number."""
    energy_by: Annotated[EnergyBy | None, one_of(EnergyBy)] = None
    """How its energy is shared; empty: all of it in proportion to accepted work, and what is left is nobody's."""
    energy_parts: EnergyParts | None = None
    """For `fixed`: of what the sub-meters leave."""
    energy_rest: Annotated[EnergyRest | None, one_of(EnergyRest)] = None
    """With a rule, empty is the owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement(Entry):
    """A party's machines stand in another's site under a contract."""

    register: ClassVar[str] = "placement"

    placement: Slug
    party: PartyKey
    site: SiteKey
    contract: Text
    contract_on: Day | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate(Entry):
    """The pool's certificate of accreditation, known by its number."""

    register: ClassVar[str] = "certificate"

    certificate: Number
    issued_by: Text
    issued_on: Day
    status: Annotated[DocumentStatus, one_of(DocumentStatus)]
    register_entry: Text | None = None
    """Its entry in the register of accredited pools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Entry):
    """A server of the pool and where it stands."""

    register: ClassVar[str] = "server"

    server: Slug
    host: Host
    address: Text
    country: Country
    location: Text
    networks: Annotated[tuple[str, ...], NETWORKS] = ()
    """Addresses it is reached at."""
    attested_by: Text | None = None
    """Who confirmed where it stands."""
    attested_on: Day | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment(Entry):
    """A mining machine, known by its serial number."""

    register: ClassVar[str] = "equipment"

    equipment: Number
    model: Text
    party: PartyKey
    site: SiteKey
    nominal_hash_rate_hs: HashRate
    nominal_power_w: Watts
    register_entry: Text | None = None
    """Its entry in the state register of mining equipment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter(Entry):
    """An electricity meter of a site, how it is reached, and what its energy costs."""

    register: ClassVar[str] = "meter"

    meter: Slug
    site: SiteKey
    host: Host
    port: Port
    unit: ModbusUnit
    profile: Text
    source: Annotated[EnergySource, one_of(EnergySource)]
    price_tiyn_per_kwh: Price
    status: Annotated[MeterStatus, one_of(MeterStatus)]
    party: PartyKey | None = None
    """Of a sub-meter, which measures nothing but this party's machines; empty: a main meter of the site."""
    read_by: Annotated[ReadBy, one_of(ReadBy)] = ReadBy.POOL


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply(Entry):
    """A source of a site's electricity: a contract, or generation of its own behind the meters of what is bought."""

    register: ClassVar[str] = "supply"

    supply: Slug
    site: SiteKey
    source: Annotated[EnergySource, one_of(EnergySource)]
    priority: Rank
    """Of the supplies of a site the one with the lowest counts first."""
    price_tiyn_per_kwh: Price | None = None
    """Of what is bought; unknown while it is empty."""
    month_kwh: KilowattHours | None = None
    """The most it gives in a calendar month; empty is without a limit."""
    supplier: Text | None = None
    contract: Text | None = None
    contract_on: Day | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota(Entry):
    """How much energy a site may take in a calendar month, as the authority granted it. Several add up."""

    register: ClassVar[str] = "quota"

    quota: Slug
    site: SiteKey
    month: Month
    energy_kwh: KilowattHours
    source: Annotated[EnergySource, one_of(EnergySource)] = EnergySource.GRID
    """The energy that it limits."""
    granted_by: Text | None = None
    number: Text | None = None
    """Of the authority's decision."""
    granted_on: Day | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit(Entry):
    """A permit to issue secured digital assets (order 130/НҚ of 01.06.2023), known by its number."""

    register: ClassVar[str] = "permit"

    permit: Number
    party: PartyKey
    issued_by: Text
    issued_on: Day
    application: Text
    """Number of the application it was granted on."""
    platform: Text
    purpose: Text
    address: Text
    status: Annotated[DocumentStatus, one_of(DocumentStatus)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Entry):
    """A file attached to an entry: its content lies in `document_content` under its digest."""

    register: ClassVar[str] = "document"

    document: Slug
    of_register: RegisterName
    of_key: Text
    title: Text
    number: Text | None = None
    issued_by: Text | None = None
    issued_on: Day | None = None
    digest: Digest
    media_type: Text
    size: Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Entry):
    """Something about an entry that somebody should look at. Its versions are its history; `findings` writes them."""

    register: ClassVar[str] = "finding"
    by_hand: ClassVar[bool] = False

    finding: Annotated[str, FINDING_KEY]
    """The same for the same kind and subject, whenever it is found."""
    kind: Annotated[FindingKind, one_of(FindingKind)]
    severity: Annotated[Severity, one_of(Severity)]
    of_register: RegisterName
    of_key: Text
    """The entry it is about."""
    party: PartyKey | None = None
    site: SiteKey | None = None
    """Whom it concerns, as far as it concerns a party, a site, or one at the other."""
    evidence: Annotated[Mapping[str, Any], EVIDENCE]
    """Figures, texts and lists of texts, by name."""
    state: Annotated[FindingState, one_of(FindingState)]
    owner: Text | None = None
    """The person who has it in hand."""
    blocks: Annotated[bool, FLAG] = False
    """Whether nobody whom it concerns may mine while it is open."""

    @property
    def is_open(self) -> bool:
        """Whether it waits for somebody."""
        return self.state in OPEN_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class Geo(Entry):
    """The country's addresses by one source: the list lies in `document_content` under `digest`."""

    register: ClassVar[str] = "geo"

    geo: Annotated[Source, one_of(Source)]
    country: Country
    file: Text
    """Name of the file that the list was made of."""
    file_digest: Digest
    dated_on: Day
    """The day whose state the file tells."""
    digest: Digest
    ranges: Count
    ipv4_addresses: Count
    ipv6_subnets: Count
    """How many /64 networks its IPv6 addresses make up."""


ENTRY_TYPES: dict[str, type[Entry]] = {
    kind.register: kind
    for kind in (
        Party,
        Wallet,
        Licence,
        Site,
        Placement,
        Certificate,
        Server,
        Equipment,
        Meter,
        Supply,
        Quota,
        Permit,
        Document,
        Finding,
        Geo,
    )
}
"""The type of each register's rows, in an order in which no register refers to a later one."""
BY_HAND: dict[str, type[Entry]] = {register: kind for register, kind in ENTRY_TYPES.items() if kind.by_hand}
"""Those of them that people fill in."""

_TRAILING = ("valid_from", "valid_to", "corrects", "why", "note")


@cache
def fields_of(register: str) -> Mapping[str, Field]:
    """The columns a person fills in for `register`: its own in order, then validity, correction and note.

    An empty valid_from means the instant of recording.
    """
    kind = ENTRY_TYPES[register]
    hints = get_type_hints(kind, include_extras=True)
    defaults = {field.name: field.default for field in fields(kind)}
    rules = {
        name: replace(rule, required=defaults[name] is MISSING and name != "valid_from")
        for name, hint in hints.items()
        for rule in _rules(hint)
    }
    own = [field.name for field in fields(kind) if field.name in rules and field.name not in _TRAILING]
    return {name: rules[name] for name in (*own, *_TRAILING)}


def _rules(hint: Any) -> list[Field]:
    """The rule in an annotation, also in that of an optional column."""
    parts = (hint, *get_args(hint))
    return [rule for part in parts for rule in getattr(part, "__metadata__", ()) if isinstance(rule, Field)]


def content_of(entry: Entry) -> dict[str, Any]:
    """What a person said in this version, without when and by whom it was recorded."""
    return {name: getattr(entry, name) for name in fields_of(entry.register)}
