from __future__ import annotations

from datetime import timedelta

import pytest
from django.http import QueryDict
from django.utils import timezone

from dbadmin.models import Backup
from dbadmin.views.paging import Order, Page, paginate
from tests.factories import make_backup, make_database, make_storage

pytestmark = pytest.mark.django_db
ORDERS = [Order(field=field, descending=descending) for field in ("id", "size", "finished_at") for descending in (1, 0)]


def page(order: Order, query: str = "") -> Page[Backup]:
    return paginate(Backup.objects.all(), order=order, params=QueryDict(query.lstrip("?")), size=3)


def fill(count: int) -> list[Backup]:
    database, storage, now = make_database(), make_storage(), timezone.now()
    return [
        make_backup(database=database, storage=storage, size=n // 3, finished_at=now - timedelta(minutes=n // 2))
        for n in range(count)
    ]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_walking_on_shows_every_row_once_and_in_order(order: Order) -> None:
    fill(11)
    seen, query = [], ""
    while True:
        shown = page(order, query)
        seen += [row.pk for row in shown.rows]
        if not (query := shown.next):
            break
    assert seen == [row.pk for row in Backup.objects.order_by(*order.columns(reverse=False))]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_going_back_shows_the_page_one_came_from(order: Order) -> None:
    fill(8)
    first = page(order)
    second = page(order, first.next)
    third = page(order, second.next)
    assert page(order, third.previous).rows == second.rows
    again = page(order, page(order, third.previous).previous)
    assert again.rows == first.rows
    assert not again.previous


def test_the_first_and_the_only_page_have_no_neighbours() -> None:
    fill(3)
    assert (page(Order()).previous, page(Order()).next) == ("", "")


def test_a_link_that_is_none_of_ours_leads_to_the_first_page() -> None:
    rows = fill(2)
    for token in ("after=x", "after=~~", "before=", "after=2026-13-40~7", "before=9~9~9"):
        assert len(page(Order(field="finished_at"), token).rows) in (0, len(rows))


def test_other_parameters_stay_in_the_links() -> None:
    newest = fill(5)[-1].pk
    query = QueryDict(f"state=available&after={newest}~{newest}")
    shown = paginate(Backup.objects.all(), order=Order(), params=query, size=2)
    assert "state=available" in shown.next
    assert shown.next.count("after=") == 1


def test_a_page_is_two_queries(django_assert_num_queries: object) -> None:
    fill(7)
    with django_assert_num_queries(2):  # type: ignore[operator]
        page(Order(field="size"))
