from django.db import migrations

STATES = {"available": "stored", "damaged": "damaged", "deleted": "deleted"}


def add_copies(apps, schema_editor):
    """Each backup so far has one archive, in clear, in the storage that its row names."""
    backups = apps.get_model("dbadmin", "Backup").objects.filter(copies=None)
    Copy = apps.get_model("dbadmin", "Copy")
    columns = ("pk", "storage_id", "state", "size", "sha256", "finished_at", "verified_at")
    Copy.objects.bulk_create(
        (
            Copy(
                backup_id=pk, storage_id=storage, state=STATES[state], size=size, sha256=sha256,
                stored_at=stored_at, verified_at=verified_at, message={"msgid": "", "params": {}}, attempts=1,
            )
            for pk, storage, state, size, sha256, stored_at, verified_at in backups.values_list(*columns).iterator()
        ),
        batch_size=1000,
    )  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("dbadmin", "0009_keep")]
    operations = [migrations.RunPython(add_copies, migrations.RunPython.noop)]
