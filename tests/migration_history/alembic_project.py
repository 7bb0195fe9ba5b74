"""A real Alembic project in a folder, driven by Alembic itself."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

ENV = """
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""


class AlembicProject:
    """``alembic init``, then revisions as the tool writes them."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.config = Config(str(folder / "alembic.ini"), stdout=open("/dev/null", "w"))  # noqa: SIM115
        command.init(self.config, str(folder / "migrations"))
        (folder / "migrations/env.py").write_text(ENV)
        self.config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
        self.config.set_main_option("script_location", str(folder / "migrations"))

    def revision(self, name: str, *, after: str = "head") -> Path:
        """Write a revision; its id is its name."""
        command.revision(self.config, message=f"Add {name}", rev_id=name, head=after, splice=after != "head")
        return self.file(name)

    def file(self, name: str) -> Path:
        return next((self.folder / "migrations/versions").glob(f"{name}_*.py"))

    def upgrade(self, to: str = "head") -> None:
        command.upgrade(self.config, to)

    def downgrade(self, to: str) -> None:
        command.downgrade(self.config, to)
