"""store file contents

Revision ID: b83e5f7a20cd
Revises: a1f0c2d94b17
Create Date: 2025-03-14 16:40:55.090000
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "b83e5f7a20cd"
down_revision = "a1f0c2d94b17"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP MATERIALIZED VIEW storage_usage")
    op.execute("DROP TABLE file_contents")
