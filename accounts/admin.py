"""Accounts and keys for operators. A key's secret is nowhere to be seen: its hint is all there is."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import services
from accounts.models import ApiKey, User

for packaged in (EmailAddress, Authenticator):
    admin.site.unregister(packaged)
admin.site.unregister(Group)


class NewUserForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("email",)
        field_classes: dict[str, Any] = {}


class EditedUserForm(UserChangeForm):
    class Meta:
        model = User
        fields = "__all__"
        field_classes: dict[str, Any] = {}


class EmailAddressInline(TabularInline):
    """The addresses an account has shown to be its own, or not yet."""

    model = EmailAddress
    extra = 0


@admin.register(User)
class UserAdmin(BaseUserAdmin, ModelAdmin):
    form = EditedUserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    inlines = [EmailAddressInline]
    ordering = ["-date_joined"]
    list_display = ["email", "date_joined", "last_login", "shown_keys", "is_active", "is_staff"]
    list_filter = ["is_active", "is_staff", "date_joined"]
    search_fields = ["email"]
    show_full_result_count = False
    filter_horizontal = ()
    readonly_fields = ["date_joined", "last_login"]
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        (_("Accès"), {"fields": ["is_active", "is_staff", "is_superuser"]}),
        (_("Dates"), {"fields": ["date_joined", "last_login"]}),
        (
            _("Droits d’un opérateur qui n’est pas super-utilisateur"),
            {"fields": ["user_permissions"], "classes": ["collapse"]},
        ),
    ]
    add_fieldsets = [
        (None, {"classes": ["wide"], "fields": ["email", "usable_password", "password1", "password2"]})
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        usable = Q(api_keys__revoked_at=None)
        return super().get_queryset(request).annotate(key_count=Count("api_keys", filter=usable))

    @display(description=_("clés non révoquées"), ordering="key_count")
    def shown_keys(self, user: Any) -> int:
        return user.key_count


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    list_display = ["name", "hint", "user", "shown_state", "created_at", "last_used_at", "expires_at"]
    list_filter = ["created_at", "last_used_at", "revoked_at"]
    list_select_related = ["user"]
    search_fields = ["name", "hint", "user__email"]
    show_full_result_count = False
    date_hierarchy = "created_at"
    fields = readonly_fields = [
        "name", "hint", "user", "allows_failover", "created_at", "last_used_at", "expires_at", "revoked_at",
    ]  # fmt: skip
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    @display(
        description=_("état"),
        label={_("Active"): "success", _("Expirée"): "warning", _("Révoquée"): "danger"},
    )
    def shown_state(self, key: ApiKey) -> Any:
        if key.revoked_at:
            return _("Révoquée")
        return _("Active") if key.is_usable else _("Expirée")

    @admin.action(description=_("Révoquer les clés choisies"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        keys = list(queryset.filter(revoked_at=None).select_related("user"))
        for key in keys:
            services.revoke_api_key(user=key.user, key_id=key.pk)
        self.message_user(
            request,
            ngettext("{count} clé révoquée.", "{count} clés révoquées.", len(keys)).format(count=len(keys)),
        )
