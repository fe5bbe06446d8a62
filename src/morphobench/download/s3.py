"""Prefixes of public S3 buckets, read without an account."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd

from morphobench.download import checksums
from morphobench.download.connections import Transient
from morphobench.download.transfer import Remote, Transfer
from morphobench.errors import InputError
from morphobench.log import logger

if TYPE_CHECKING:
    from botocore.client import BaseClient

_PAGES_PER_LINE = 50
_DENIED = {"AccessDenied", "AllAccessDisabled", "403"}


def url_of(bucket: str, key: str, version: str | None = None) -> str:
    """Return where an object is; AWS_ENDPOINT_URL(_S3) may name another server than Amazon's."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        base = f"{endpoint.rstrip('/')}/{bucket}"
    elif "." in bucket:
        # The certificate covers one name before s3.
        base = f"https://s3.amazonaws.com/{bucket}"
    else:
        base = f"https://{bucket}.s3.amazonaws.com"
    return f"{base}/{quote(key)}" + (f"?versionId={quote(version, safe='')}" if version else "")


class Prefix:
    """All objects of a bucket whose keys begin alike.

    Parameters
    ----------
    location
        ``s3://bucket/prefix``.
    settings
        Section `download` of the configuration.
    """

    is_listed = True

    def __init__(self, location: str, settings: Mapping[str, Any]) -> None:
        self.location, self._settings = location, settings
        self._bucket, _, prefix = location.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        if not self._bucket:
            raise InputError(f"{location}: names no bucket. Write s3://bucket/prefix.")

    def remote(self, name: str) -> Remote:
        """Return an object by its name below the prefix; nothing is asked."""
        return Remote(name, url_of(self._bucket, self._prefix + name))

    def checksum_of(self, headers: Mapping[str, str]) -> str:
        """Return the checksum that a response gives."""
        return checksums.of_s3(headers.get("ETag", ""))

    def pages(self, under: str, dataset: str) -> Iterator[pd.DataFrame]:
        """Yield name, size and checksum of the objects whose names begin with `under`, as they are listed.

        Raises
        ------
        InputError
            When the bucket is not there, denies, or cannot be reached.
        """
        client, token, number = self._client(), {}, 0
        transfer = Transfer(self._settings, dataset)
        while True:
            asked = {"Bucket": self._bucket, "Prefix": self._prefix + under, **token}
            page = transfer.patiently(self.location, lambda asked=asked: self._page(client, asked))
            found = [item for item in page.get("Contents", []) if not item["Key"].endswith("/")]
            yield pd.DataFrame(
                {
                    "name": [item["Key"].removeprefix(self._prefix) for item in found],
                    "size": [item["Size"] for item in found],
                    "checksum": [checksums.of_s3(item["ETag"]) for item in found],
                }
            )
            number += 1
            if number % _PAGES_PER_LINE == 0:
                logger.info("download: %s: %d pages of objects listed", self.location, number)
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _client(self) -> BaseClient:
        # Needs half a second to import, and only a listing needs it.
        import botocore.session
        from botocore import UNSIGNED
        from botocore.config import Config

        timeout_s = self._settings["timeout_s"]
        config = Config(
            signature_version=UNSIGNED,
            retries={"total_max_attempts": 1},
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
        )
        session = botocore.session.get_session()
        region = session.get_config_variable("region") or "us-east-1"
        return session.create_client("s3", region_name=region, config=config)

    def _page(self, client: BaseClient, asked: Mapping[str, str]) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return client.list_objects_v2(**asked)
        except ClientError as error:
            code, status = error.response["Error"].get("Code", ""), _status(error.response)
            if code == "NoSuchBucket":
                raise InputError(f"{self.location}: no such bucket. Mend source.location.") from error
            if code in _DENIED or status == 403:
                raise InputError(
                    f"{self.location}: access denied. Only public buckets can be listed, without an account: "
                    "check the location, or copy the data yourself and set source.location to the copy."
                ) from error
            raise Transient(f"the server answers {status} {code}") from error
        # A broken connection or a torn answer.
        except BotoCoreError as error:
            raise Transient(" ".join(str(error).split())[:300]) from error


def _status(response: Mapping[str, Any]) -> int:
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
