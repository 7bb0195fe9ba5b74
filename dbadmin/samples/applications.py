"""The five applications: their names, databases and how much is in them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SQL = HERE / "sql"
PROJECTS = HERE / "projects"
SMALL, LARGE = "small", "large"


@dataclass(frozen=True, kw_only=True)
class PostgreSQLSample:
    """A PostgreSQL database of an application.

    ``data`` is a file in ``SQL``; ``schema`` are the files of the project that run before it. ``counts`` are the
    settings that the SQL reads, for small and large.
    """

    name: str
    data: str
    schema: tuple[str, ...] = ()
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def settings(self, rows: str) -> dict[str, int]:
        """Return setting name -> number for ``rows`` (small or large)."""
        return {name: amounts[rows == LARGE] for name, amounts in self.counts.items()}


@dataclass(frozen=True, kw_only=True)
class SampleDatabase:
    """A database as it is registered. ``project`` is a folder of ``PROJECTS``, empty where there is none."""

    slug: str
    name: str
    engine: str
    postgresql: PostgreSQLSample | None = None
    project: str = ""


@dataclass(frozen=True, kw_only=True)
class SampleApplication:
    """An application and its databases."""

    slug: str
    name: str
    description: str
    databases: tuple[SampleDatabase, ...]


_CAMP = "camp-backend/src/alembic/versions"
_GOALS = "goal-mandala/prisma/migrations"
_MIRAI = "mirai-knowledge/backend/migrations/versions"

COMET_BOT = PostgreSQLSample(name="comet_bot", data="comet_bot.sql", counts={"messages": (12_000, 250_000)})
CAMP_BACKEND = PostgreSQLSample(
    name="camp_backend_db",
    data="camp_backend.sql",
    schema=(
        f"{_CAMP}/a1f0c2d94b17_create_sample_tables.sql",
        f"{_CAMP}/b83e5f7a20cd_store_file_contents.sql",
        f"{_CAMP}/c47d9be1863f_protect_files_of_others.sql",
    ),
    counts={"users": (800, 8_000)},
)
GOAL_MANDALA = PostgreSQLSample(
    name="goal_mandala",
    data="goal_mandala.sql",
    schema=(
        f"{_GOALS}/20231201120000_init/migration.sql",
        f"{_GOALS}/20240115093000_add_actions/migration.sql",
        f"{_GOALS}/20240620081500_goal_progress/migration.sql",
    ),
    counts={"users": (40, 800)},
)
MIRAI_KNOWLEDGE = PostgreSQLSample(
    name="mirai_knowledge_db",
    data="mirai_knowledge.sql",
    schema=(f"{_MIRAI}/c1104acd2fa6_initial_database_schema.sql",),
    counts={"articles": (1_500, 15_000)},
)
POSTGRESQL_SAMPLES = (COMET_BOT, CAMP_BACKEND, GOAL_MANDALA, MIRAI_KNOWLEDGE)

APPLICATIONS = (
    SampleApplication(
        slug="comet-bot",
        name="COMET bot",
        description="Community bot: members and messages in PostgreSQL, settings in JSON files",
        databases=(
            SampleDatabase(slug="comet-bot", name="COMET bot", engine="postgresql", postgresql=COMET_BOT),
            SampleDatabase(slug="comet-bot-files", name="COMET bot settings", engine="files"),
        ),
    ),
    SampleApplication(
        slug="camp-backend",
        name="Camp backend",
        description="Camp site booking: FastAPI, SQLAlchemy, Alembic",
        databases=(
            SampleDatabase(
                slug="camp-backend",
                name="Camp backend",
                engine="postgresql",
                postgresql=CAMP_BACKEND,
                project="camp-backend/src",
            ),
        ),
    ),
    SampleApplication(
        slug="goal-mandala",
        name="目標管理曼荼羅",
        description="goal-mandala: goals in nine by nine fields, Prisma",
        databases=(
            SampleDatabase(
                slug="goal-mandala",
                name="goal-mandala",
                engine="postgresql",
                postgresql=GOAL_MANDALA,
                project="goal-mandala",
            ),
        ),
    ),
    SampleApplication(
        slug="mangaanime",
        name="MangaAnime",
        description="Tells readers of new episodes and volumes; SQLite",
        databases=(SampleDatabase(slug="mangaanime", name="MangaAnime", engine="sqlite"),),
    ),
    SampleApplication(
        slug="mirai-knowledge",
        name="Mirai Knowledge",
        description="建設現場の知識 (knowledge of building sites): Flask, Alembic",
        databases=(
            SampleDatabase(
                slug="mirai-knowledge",
                name="Mirai Knowledge",
                engine="postgresql",
                postgresql=MIRAI_KNOWLEDGE,
                project="mirai-knowledge/backend",
            ),
        ),
    ),
)


def copy_projects(folder: Path) -> None:
    """Put the applications' own folders, with their migration files, below ``folder``; what is there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for project in sorted(PROJECTS.iterdir()):
        if not (folder / project.name).exists():
            temporary = folder / f".{project.name}"
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(project, temporary, ignore=shutil.ignore_patterns("__pycache__"))
            temporary.rename(folder / project.name)
