"""A bare loop of requests.Session in threads: what the worker is held against.

python -m benchmarks.bare_sender URL THREADS
"""

from __future__ import annotations

import sys
import threading
from itertools import count

import requests

EVENT = {
    "eventId": "",
    "title": "⚡ Ada, 50% off starts now",
    "location": "Open for your 50% code",
    "description": "Until Sunday 5 December, 09:00.\nhttps://www.example.com/sale?utm_campaign=winter27",
    "start": "2027-12-03T09:00:00",
    "end": "2027-12-03T09:30:00",
    "timezone": "Eastern Standard Time",
    "notifyBefore": 60,
    "visibleFromDateTimeUtc": "2027-11-26T14:00:00Z",
}


def main(url: str, threads: int) -> None:
    """Sends for ever; whoever started it ends it."""
    answer = requests.post(
        f"{url}/oauth2/token", data={"grant_type": "client_credentials"}, auth=("id", "secret"), timeout=10
    )
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    numbers = count()

    def send() -> None:
        with requests.Session() as session:
            while True:
                number = f"{next(numbers):012d}"
                body = {
                    "event": EVENT | {"eventId": f"sale_winter27_u-{number}"},
                    "subscriptionIds": [f"06423672-b6ba-4536-aa36-{number}"],
                }
                session.post(f"{url}/v1/subscriptionevent/brazetest", json=body, headers=headers, timeout=10)

    for _ in range(threads):
        threading.Thread(target=send).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
