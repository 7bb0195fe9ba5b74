"""Where a connection comes from: a pasted URL, a .env file, environment variables."""

from __future__ import annotations

from dbadmin.sources.envfile import parse_env_file
from dbadmin.sources.environment import from_environment
from dbadmin.sources.url import parse_url
from dbadmin.sources.values import Candidate, Chosen, Decision

__all__ = ["Candidate", "Chosen", "Decision", "from_environment", "parse_env_file", "parse_url"]
