"""Encryption keys: which there are, what depends on them, and everything that is done with them."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dbadmin import audit
from dbadmin.archives.age import KEY_FILE_BYTES, read_key_file, recipient_of
from dbadmin.backups.keys import counts, needed_by, require_not_the_last
from dbadmin.exceptions import DbadminError
from dbadmin.forms.keys import KeyForm
from dbadmin.models import EncryptionKey
from dbadmin.recovery_kit import key_file, kit
from dbadmin.views.access import requires
from dbadmin.views.failures import failed
from dbadmin.views.login import FAILED, blocked_until


@requires("dbadmin.view_encryptionkey")
@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    """List the keys with what depends on them."""
    sealed = counts()
    found = EncryptionKey.objects.prefetch_related("storages")
    rows = [{"key": key, "archives": sealed.get(key.recipient, 0)} for key in found]
    unknown = sorted(set(sealed) - {key.recipient for key in found})
    return render(request, "dbadmin/keys.html", {"rows": rows, "unknown": unknown})


@requires("dbadmin.add_encryptionkey")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def add(request: HttpRequest) -> HttpResponse:
    """Make a pair, whose private key this answer shows and no other ever, or take a key that exists."""
    form = KeyForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if request.method == "POST" else 200
        return render(request, "dbadmin/key_add.html", {"form": form}, status=status)
    with transaction.atomic():
        key = form.save()
        _record(request, "key.add", key, how=form.cleaned_data["how"])
    if not form.made:
        messages.success(request, _("{name} is saved.").format(name=key))
        return redirect("keys")
    return render(request, "dbadmin/key_made.html", {"key": key, "file": key_file(key, form.made)})


@requires("dbadmin.change_encryptionkey")
@require_POST
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    """Write with this key no more, or again; archives that exist stay readable with it.

    ``retired`` says which, so that two tabs that ask for the same do not undo each other.
    """
    key = get_object_or_404(EncryptionKey, pk=pk)
    retired = request.POST.get("retired") == "1"
    try:
        is_changed = _retire(request, key, retired=retired)
    except DbadminError as error:
        return failed(request, error, back_to=reverse("keys"))
    if is_changed:
        messages.success(request, _said(retired=retired).format(name=key))
    else:
        messages.info(request, _said_before(retired=retired).format(name=key))
    return redirect("keys")


@transaction.atomic
def _retire(request: HttpRequest, key: EncryptionKey, *, retired: bool) -> bool:
    """Say whether it was not so before; ``Refused`` for the only key of a storage."""
    key = EncryptionKey.objects.select_for_update(no_key=True).get(pk=key.pk)
    if (key.retired_at is not None) == retired:
        return False
    if retired:
        require_not_the_last(key)
    key.retired_at = timezone.now() if retired else None
    key.save(update_fields=["retired_at"])
    _record(request, "key.retire" if retired else "key.use_again", key)
    return True


def _said(*, retired: bool) -> str:
    return _("{name} is retired: new archives are not encrypted for it.") if retired else _("{name} is used again.")


def _said_before(*, retired: bool) -> str:
    if retired:
        return _("{name} was retired already. Nothing was changed.")
    return _("{name} was in use already. Nothing was changed.")


@requires("dbadmin.change_encryptionkey")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def private(request: HttpRequest, pk: int) -> HttpResponse:
    """Bring the private half to this server, also in place of one that cannot be read; or remove it from here.

    It is removed when the name is typed.
    """
    key = get_object_or_404(EncryptionKey, pk=pk)
    if request.method != "POST":
        return render(request, "dbadmin/key_private.html", {"key": key, "needed_by": needed_by(key)})
    try:
        if key.is_readable:
            return _remove(request, key)
        sent = request.FILES.get("key_file")
        found = read_key_file(sent.read(KEY_FILE_BYTES + 1) if sent else b"")
        fitting = [identity for identity in found if recipient_of(identity) == key.recipient]
        key.identity = fitting[0] if fitting else ""
    except DbadminError as error:
        return failed(request, error, back_to=request.path)
    if not fitting:
        messages.error(request, _("The file holds another key than {name}. Nothing was changed.").format(name=key))
        return redirect(request.path)
    with transaction.atomic():
        key.save(update_fields=["encrypted_identity"])
        _record(request, "key.import_private", key)
    messages.success(request, _("The private key of {name} is on this server now.").format(name=key))
    return redirect("keys")


@requires("dbadmin.change_encryptionkey")
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@never_cache
def recovery_kit(request: HttpRequest) -> HttpResponse:
    """Show the kit without secrets; when posted, hand it out as a file, with them for who enters his password again."""
    if request.method != "POST":
        return render(request, "dbadmin/recovery_kit.html", {"kit": kit(with_secrets=False)})
    with_secrets = "with_secrets" in request.POST
    if with_secrets and not _is_really(request):
        messages.error(request, _("That is not your password, or it was wrong too often. Nothing was handed out."))
        return redirect("recovery-kit")
    text = kit(with_secrets=with_secrets)
    audit.record(audit.from_request(request), "recovery_kit.download", with_secrets=with_secrets)
    name = f"dbadmin-recovery-kit-{timezone.now():%Y%m%d}.txt"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)


def _remove(request: HttpRequest, key: EncryptionKey) -> HttpResponse:
    if request.POST.get("confirm", "").strip() != key.name:
        messages.error(request, _("Type the name “{name}” to confirm. Nothing was changed.").format(name=key.name))
        return redirect(request.path)
    with transaction.atomic():
        key.identity = ""
        key.save(update_fields=["encrypted_identity"])
        _record(request, "key.remove_private", key)
    messages.success(request, _("The private key of {name} is no longer on this server.").format(name=key))
    return redirect("keys")


def _is_really(request: HttpRequest) -> bool:
    """Whether the password is the signed-in user's own; guesses count like those of the login page."""
    actor = audit.from_request(request)
    if actor.user is None or blocked_until(actor.address, actor.name) is not None:
        return False
    if actor.user.check_password(request.POST.get("password", "")):
        return True
    audit.record(actor, FAILED)
    return False


def _record(request: HttpRequest, action: str, key: EncryptionKey, **details: str) -> None:
    reason = request.POST.get("reason", "")
    audit.record(audit.from_request(request), action, key, reason=reason, public=key.recipient, **details)
