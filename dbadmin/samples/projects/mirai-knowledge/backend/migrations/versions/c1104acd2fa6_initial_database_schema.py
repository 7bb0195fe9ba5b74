"""Initial database schema

Revision ID: c1104acd2fa6
Revises:
Create Date: 2025-12-27 22:41:03.118000
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "c1104acd2fa6"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP SCHEMA knowledge CASCADE")
    op.execute('DROP TABLE "工事案件"')
