from django.db import migrations, models

# What two storages share can be read; of every other problem that is kept nobody knows, until the next look or test.
SHARED = (
    "This is the place of “{other}” already, or one lies in the other.",
    "“{name}” and “{other}” are the same place, or one lies in the other; nothing was touched.",
)


def set_away(apps, schema_editor):
    """A storage with a problem was taken for one that cannot be read; it stays so until it is looked into again."""
    ill = apps.get_model("dbadmin", "Storage").objects.exclude(problem__msgid__in=["", *SHARED])
    ill.update(is_away=True)


class Migration(migrations.Migration):

    dependencies = [
        ("dbadmin", "0019_names_on_one_line"),
    ]

    operations = [
        migrations.AddField(
            model_name="storage",
            name="is_away",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.RunPython(set_away, migrations.RunPython.noop),
    ]
