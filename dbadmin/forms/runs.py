"""The filter above the runs of a schedule."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import RunState
from dbadmin.forms.filters import DatabaseField, Filter, day, one_of
from dbadmin.models import ScheduleRun


class RunFilter(Filter):
    """Which runs to list."""

    state = one_of(RunState.choices, _("State"))
    database = DatabaseField()
    since = day(_("From"))
    until = day(_("To"))
    time_field = "due_at"

    def apply(self, runs: QuerySet[ScheduleRun]) -> QuerySet[ScheduleRun]:
        """Return the runs that pass."""
        return self.equal(self.in_period(runs), "state", "database")
