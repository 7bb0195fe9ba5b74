"""Every page, as a table of contents."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path

from dbadmin.views import (
    adopting,
    assertions,
    audit,
    backups,
    comparisons,
    databases,
    deletion,
    downloads,
    drills,
    health,
    healthz,
    imports,
    jobs,
    keys,
    login,
    migrations,
    overview,
    pins,
    registration,
    replacing,
    restores,
    retentions,
    schedule_changes,
    schedules,
    statistics,
    storage_changes,
    storages,
    workers,
)

urlpatterns = [
    # Signing in
    path("login/", login.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    # Overview
    path("", overview.overview, name="overview"),
    path("live/", overview.live, name="overview-live"),
    path("healthz", healthz.healthz, name="healthz"),
    # Databases
    path("databases/", databases.databases, name="databases"),
    path("databases/add/", registration.add, name="database-add"),
    path("databases/<slug:slug>/", databases.database, name="database"),
    path("databases/<slug:slug>/edit/", registration.edit, name="database-edit"),
    path("databases/<slug:slug>/test/", databases.test, name="database-test"),
    path("databases/<slug:slug>/maintain/", databases.maintain, name="database-maintain"),
    path("databases/<slug:slug>/remove/", registration.remove, name="database-remove"),
    # Backups
    path("backups/", backups.backups, name="backups"),
    path("backups/run/", backups.run_all, name="backup-run-all"),
    path("backups/run/<slug:slug>/", backups.run, name="backup-run"),
    path("backups/statistics/", statistics.statistics, name="backup-statistics"),
    path("backups/day/", statistics.day, name="backup-day"),
    path("backups/readiness/", statistics.readiness, name="backup-readiness"),
    path("backups/<int:pk>/", backups.backup, name="backup"),
    path("backups/<int:pk>/archive/", downloads.archive, name="backup-download"),
    path("backups/<int:pk>/sql/", downloads.sql, name="backup-sql"),
    path("backups/<int:pk>/verify/", backups.verify, name="backup-verify"),
    path("backups/<int:pk>/copy/", backups.copy, name="backup-copy"),
    path("backups/<int:pk>/drill/", drills.run, name="backup-drill"),
    path("backups/<int:pk>/pin/", pins.pin, name="backup-pin"),
    path("backups/<int:pk>/unpin/", pins.unpin, name="backup-unpin"),
    path("backups/<int:pk>/delete/", deletion.delete, name="backup-delete"),
    # Drills
    path("drills/", drills.drills, name="drills"),
    path("drills/<int:pk>/", drills.drill, name="drill"),
    path("databases/<slug:slug>/assertions/add/", assertions.add, name="assertion-add"),
    path("databases/<slug:slug>/assertions/<int:pk>/remove/", assertions.remove, name="assertion-remove"),
    path("backups/<int:pk>/compare/", comparisons.new, name="backup-compare"),
    path("comparisons/<int:pk>/", comparisons.comparison, name="comparison"),
    # Restores
    path("backups/<int:pk>/restore/", restores.new, name="restore-new"),
    path("backups/<int:pk>/replace/", replacing.replace, name="restore-replace"),
    path("backups/<int:pk>/tables/", replacing.tables, name="restore-tables"),
    path("backups/<int:pk>/rows/", replacing.rows, name="restore-rows"),
    path("restores/<int:pk>/undo/", replacing.undo, name="restore-undo"),
    path("restores/<int:pk>/", restores.restore, name="restore"),
    # Imports
    path("imports/", imports.imports, name="imports"),
    path("imports/upload/", imports.upload, name="import-upload"),
    path("imports/choose/", imports.choose, name="import-choose"),
    path("imports/<int:pk>/", imports.import_, name="import"),
    path("imports/<int:pk>/start/", imports.start, name="import-start"),
    # Schedules
    path("schedules/", schedules.schedules, name="schedules"),
    path("schedules/add/", schedule_changes.add, name="schedule-add"),
    path("schedules/preview/", schedules.preview, name="schedule-preview"),
    path("schedules/<int:pk>/", schedules.schedule, name="schedule"),
    path("schedules/<int:pk>/edit/", schedule_changes.edit, name="schedule-edit"),
    path("schedules/<int:pk>/toggle/", schedule_changes.toggle, name="schedule-toggle"),
    path("schedules/<int:pk>/run/", schedule_changes.run, name="schedule-run"),
    path("schedules/<int:pk>/remove/", schedule_changes.remove, name="schedule-remove"),
    # Retentions
    path("retentions/", retentions.retentions, name="retentions"),
    path("retentions/add/", retentions.add, name="retention-add"),
    path("retentions/<int:pk>/", retentions.retention, name="retention"),
    path("retentions/<int:pk>/edit/", retentions.edit, name="retention-edit"),
    path("retentions/<int:pk>/remove/", retentions.remove, name="retention-remove"),
    # Storages
    path("storages/", storages.storages, name="storages"),
    path("storages/add/", storage_changes.add, name="storage-add"),
    path("storages/<int:pk>/", storages.storage, name="storage"),
    path("storages/<int:pk>/edit/", storage_changes.edit, name="storage-edit"),
    path("storages/<int:pk>/test/", storage_changes.test, name="storage-test"),
    path("storages/<int:pk>/default/", storage_changes.default, name="storage-default"),
    path("storages/<int:pk>/remove/", storage_changes.remove, name="storage-remove"),
    path("storages/<int:pk>/adopt/", adopting.adoption, name="storage-adopt"),
    path("storages/<int:pk>/return/", storage_changes.put_back, name="storage-return"),
    # Encryption keys
    path("keys/", keys.keys, name="keys"),
    path("keys/add/", keys.add, name="key-add"),
    path("keys/<int:pk>/retire/", keys.retire, name="key-retire"),
    path("keys/<int:pk>/private/", keys.private, name="key-private"),
    path("keys/recovery-kit/", keys.recovery_kit, name="recovery-kit"),
    # Jobs
    path("jobs/", jobs.jobs, name="jobs"),
    path("jobs/<int:pk>/", jobs.job, name="job"),
    path("jobs/<int:pk>/live/", jobs.live, name="job-live"),
    path("jobs/<int:pk>/row/", jobs.row, name="job-row"),
    path("jobs/<int:pk>/log/", jobs.log, name="job-log"),
    path("jobs/<int:pk>/cancel/", jobs.cancel, name="job-cancel"),
    # Workers
    path("workers/", workers.workers, name="workers"),
    # Health
    path("health/", health.health, name="health"),
    path("health/run/", health.run, name="health-run"),
    # Migrations
    path("migrations/", migrations.migrations, name="migrations"),
    path("migrations/read/", migrations.read, name="migrations-read"),
    # Audit
    path("audit/", audit.audit, name="audit"),
    path("audit/csv/", audit.audit_csv, name="audit-csv"),
]
