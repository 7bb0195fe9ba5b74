"""Encryption keys: made here, or brought from elsewhere."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dbadmin.archives.age import KEY_FILE_BYTES, checked_recipient, new_identity, read_key_file, recipient_of
from dbadmin.exceptions import ValidationFailed
from dbadmin.forms.styles import Styled
from dbadmin.models import EncryptionKey
from dbadmin.text import Text

LONGEST = EncryptionKey._meta.get_field("recipient").max_length or 0
KEPT, ONCE, PUBLIC, PRIVATE = "kept", "once", "public", "private"


class KeyForm(Styled, forms.ModelForm):  # type: ignore[type-arg]
    """A key pair, or a half of one. After ``save`` a new pair's private key is in ``made``, for this answer only."""

    how = forms.ChoiceField(
        label=gettext_lazy("Where it comes from"),
        choices=[
            (KEPT, gettext_lazy("New pair, private key also kept here")),
            (ONCE, gettext_lazy("New pair, private key only with me")),
            (PUBLIC, gettext_lazy("A public key that I have")),
            (PRIVATE, gettext_lazy("A private key file that I have")),
        ],
        initial=KEPT,
    )
    public = forms.CharField(
        label=gettext_lazy("Public key"),
        required=False,
        max_length=2000,
        help_text=gettext_lazy("age1…, or a line of ssh-ed25519 or ssh-rsa; only when it exists already."),
    )
    key_file = forms.FileField(
        label=gettext_lazy("Private key file"),
        required=False,
        allow_empty_file=True,
        help_text=gettext_lazy("As age-keygen writes it; only when it exists already."),
    )

    class Meta:
        model = EncryptionKey
        fields = ["name"]

    field_order = ["name", "how", "public", "key_file"]
    made = ""

    def clean(self) -> dict[str, Any] | None:
        """Find out both halves, as far as there are two."""
        super().clean()
        how = self.cleaned_data.get("how")
        identity = ""
        try:
            if how in (KEPT, ONCE):
                identity, recipient = new_identity()
                self.made = identity
            elif how == PRIVATE:
                identity = self._sent()
                recipient = recipient_of(identity)
            else:
                recipient = checked_recipient(self.cleaned_data.get("public", ""))
            self._take(recipient, "" if how == ONCE else identity)
        except ValidationFailed as error:
            self.add_error("key_file" if how == PRIVATE else "public", str(error))
        return self.cleaned_data

    def _take(self, recipient: str, identity: str) -> None:
        if EncryptionKey.objects.filter(recipient=recipient).exists():
            self.add_error("how", _("This key is here already, perhaps under another name."))
        if len(recipient) > LONGEST:
            self.add_error("how", _("This key is too long; use ssh-ed25519 or a key of age."))
        self.instance.recipient = recipient
        self.instance.identity = identity

    def _sent(self) -> str:
        sent = self.cleaned_data.get("key_file")
        found = read_key_file(sent.read(KEY_FILE_BYTES + 1) if sent else b"")
        if len(found) > 1:
            raise ValidationFailed(
                Text("The file holds {count} private keys.", count=len(found)),
                Text("Add them one by one, each from a file of its own. Nothing was saved."),
            )
        return found[0]
