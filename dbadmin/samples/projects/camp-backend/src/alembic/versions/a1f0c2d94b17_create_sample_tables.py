"""create sample tables

Revision ID: a1f0c2d94b17
Revises:
Create Date: 2025-01-28 10:02:11.512000
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "a1f0c2d94b17"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP TABLE sample_files, sample_sessions, sample_users")
