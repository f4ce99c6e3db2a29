"""The REST doors of billing: credit and usage."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as rest
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.services import Caller
from billing import usage
from billing.services import credit_of

DAY = {"type": "string", "format": "date", "pattern": "^2[0-9]{3}-[0-9]{2}-[0-9]{2}$"}


class CreditSerializer(rest.Serializer):
    balance_micros = rest.IntegerField()
    held_micros = rest.IntegerField()
    available_micros = rest.IntegerField()
    granted_micros = rest.IntegerField()
    currency = rest.CharField()


class UsageRowSerializer(rest.Serializer):
    day = rest.DateField(required=False)
    api_key_id = rest.UUIDField(required=False, allow_null=True)
    name = rest.CharField(required=False)
    voice_id = rest.CharField(required=False)
    title = rest.CharField(required=False)
    requests = rest.IntegerField()
    characters = rest.IntegerField()
    cost_micros = rest.IntegerField()


class UsageTotalsSerializer(rest.Serializer):
    requests = rest.IntegerField()
    characters = rest.IntegerField()
    cost_micros = rest.IntegerField()


UsageSerializer = type(
    "UsageSerializer",
    (rest.Serializer,),
    {
        "from": rest.DateField(),
        "to": rest.DateField(),
        "group_by": rest.ChoiceField(choices=list(usage.GROUPS)),
        "usage": UsageRowSerializer(many=True),
        "totals": UsageTotalsSerializer(),
    },
)


class CreditView(APIView):
    """`GET /api/v1/account/credit`: what the account has, in micro-euros."""

    @extend_schema(operation_id="account_credit", summary="Crédit du compte", responses=CreditSerializer)
    def get(self, request: Request) -> Response:
        credit = credit_of(caller_of(request).user_id)
        return Response(
            {
                "balance_micros": credit.balance_micros,
                "held_micros": credit.held_micros,
                "available_micros": credit.available_micros,
                "granted_micros": credit.granted_micros,
                "currency": "EUR",
            }
        )


class UsageView(APIView):
    """`GET /api/v1/account/usage`: requests, characters and cost per day, key or voice. Days are those of
    Paris.
    """

    @extend_schema(
        operation_id="account_usage",
        summary="Consommation du compte",
        parameters=[
            OpenApiParameter("from", DAY),
            OpenApiParameter("to", DAY),
            OpenApiParameter("group_by", enum=list(usage.GROUPS), default="day"),
        ],
        responses=UsageSerializer,
    )
    def get(self, request: Request) -> Response:
        period = usage.parse_period(request.query_params.get("from"), request.query_params.get("to"))
        group_by = request.query_params.get("group_by") or "day"
        rows = usage.usage_of(user_id=caller_of(request).user_id, period=period, group_by=group_by)
        return Response(
            {
                "from": period.first,
                "to": period.last,
                "group_by": group_by,
                "usage": rows,
                "totals": usage.totals_of(rows),
            }
        )


def caller_of(request: Request) -> Caller:
    """Return who asks, as the authentication classes say."""
    assert isinstance(request.auth, Caller)
    return request.auth
