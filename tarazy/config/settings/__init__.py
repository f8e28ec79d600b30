"""The settings of one Tarazy server: one YAML file, typed; a module for each part of it.

`load_settings` reads it; whatever is wrong with it is one `SettingsError` whose lines each name the path
inside the file and the cure.
"""

from tarazy.config.settings.accounting import PayoutSettings
from tarazy.config.settings.accreditation import AccreditationSettings, DemoAddress, FindingName
from tarazy.config.settings.agent import AgentMeter, AgentSettings
from tarazy.config.settings.chain import BitcoindChainSettings, EmbeddedChainSettings, NodeSettings
from tarazy.config.settings.loading import SettingsError, load_agent_settings, load_settings
from tarazy.config.settings.mqtt import MqttSettings, PayloadSettings
from tarazy.config.settings.pool import PoolSettings
from tarazy.config.settings.reports import ReportSettings, ScheduledReport
from tarazy.config.settings.server import LogSettings, PortalSettings, Settings
from tarazy.config.settings.signing import KeySigning, ServiceSigning
from tarazy.config.settings.stratum import LimitSettings, ListenerSettings, StratumSettings, TlsSettings

__all__ = [
    "AccreditationSettings",
    "AgentMeter",
    "AgentSettings",
    "BitcoindChainSettings",
    "DemoAddress",
    "EmbeddedChainSettings",
    "FindingName",
    "KeySigning",
    "LimitSettings",
    "ListenerSettings",
    "LogSettings",
    "MqttSettings",
    "NodeSettings",
    "PayloadSettings",
    "PayoutSettings",
    "PoolSettings",
    "PortalSettings",
    "ReportSettings",
    "ScheduledReport",
    "ServiceSigning",
    "Settings",
    "SettingsError",
    "StratumSettings",
    "TlsSettings",
    "load_agent_settings",
    "load_settings",
]
