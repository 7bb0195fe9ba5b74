"""protect files of others

Revision ID: c47d9be1863f
Revises: b83e5f7a20cd
Create Date: 2025-06-02 09:15:30.250000
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "c47d9be1863f"
down_revision = "b83e5f7a20cd"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP TRIGGER sample_users_updated ON sample_users")
    op.execute("DROP FUNCTION set_updated_at")
    op.execute("DROP POLICY own_files ON sample_files")
    op.execute("ALTER TABLE sample_files DISABLE ROW LEVEL SECURITY")
