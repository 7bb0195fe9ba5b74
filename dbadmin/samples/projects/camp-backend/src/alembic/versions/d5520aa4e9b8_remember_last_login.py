"""remember last login

Revision ID: d5520aa4e9b8
Revises: c47d9be1863f
Create Date: 2025-07-21 11:20:04.771000
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "d5520aa4e9b8"
down_revision = "c47d9be1863f"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sample_users", sa.Column("last_login_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("sample_users", "last_login_at")
