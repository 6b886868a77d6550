"""The least that a Flask view can do: what the bridge's own figures are held against."""

from flask import Flask, Response, request

app = Flask("bare", static_folder=None)


@app.post("/v1/calendar/events")
def accept() -> tuple[dict[str, bool], int]:
    request.get_data()
    return {"ok": True}, 202


@app.get("/healthz")
def healthz() -> Response:
    return Response("ok")
