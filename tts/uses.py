"""How often each voice of FR02's own spoke: what the community orders them by."""

from django.db.models import Count

from tts.models import Generation
from voices.services import COUNTED_HERE, note_uses


def count_voice_uses() -> int:
    """Bring the use counts of FR02's own voices up to date. Returns how many changed.

    What customers deleted from their history counts on.
    """
    spoken = Generation.objects.filter(
        status__in=(Generation.Status.DONE, Generation.Status.PARTIAL), voice__kind__in=COUNTED_HERE
    )
    counts = spoken.order_by().values_list("voice_id").annotate(number=Count("pk"))
    return note_uses(counts=dict(counts))
