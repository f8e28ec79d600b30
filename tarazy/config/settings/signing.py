"""How reports are signed: with a key on this machine, or by a service. Without this section: elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tarazy.config.settings.fields import Section, like


class KeySigning(Section):
    """A PKCS#12 key on this machine. Its signature proves origin; the law asks for another, see docs/operators.md."""

    way: Literal["pkcs12"]
    key_file: Path
    """PKCS#12 with key and certificate, relative to the settings file."""
    password_file: Path
    """File with its password, relative to the settings file."""
    pdf: bool = False
    """Whether the PDFs are signed too (PAdES); needs the extra `pades`."""


class ServiceSigning(Section):
    """A signing service over HTTP, such as NCANode, which knows the keys of the national certifying centre."""

    way: Literal["service"]
    url: Annotated[str, like(r"https?://[^\s@]+", "http:// or https://, a host and a path, such as …/cms/sign")]
    format: Literal["ncanode", "raw"] = "ncanode"
    """`ncanode`: JSON with the document and the key; `raw`: the document's bytes, answered by the signature's."""
    key_file: Path | None = None
    """Of `ncanode`: the PKCS#12 that the service signs with."""
    password_file: Path | None = None
    """Of `ncanode`: file with its password."""
    authorization_file: Path | None = None
    """File with the value of the header Authorization, where the service asks for one."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=300)
    attempts: int = Field(default=3, ge=1, le=10)
    """How often the service is asked while it does not answer, or answers 429 or 5xx."""

    @model_validator(mode="after")
    def _key(self) -> ServiceSigning:
        if self.format == "ncanode" and (self.key_file is None or self.password_file is None):
            raise ValueError("ncanode signs with the key it is sent: give key_file and password_file")
        if self.format == "raw" and (self.key_file is not None or self.password_file is not None):
            raise ValueError("only ncanode is sent a key; remove key_file and password_file")
        return self

    @model_validator(mode="after")
    def _secret_stays_here(self) -> ServiceSigning:
        local = any(self.url.startswith(f"http://{host}") for host in ("127.0.0.1", "localhost", "[::1]"))
        if self.url.startswith("http://") and not local:
            raise ValueError("a service on another machine is asked over https://: keys and documents go there")
        return self


SigningSettings = Annotated[KeySigning | ServiceSigning, Field(discriminator="way")]
