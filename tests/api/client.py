"""Drives API v1 with Python's standard library alone, like a client that is independent of fleet.

usage: client.py SOCKET

Creates units, changes one, reads all of them by pages, follows their stream, and deletes them; ends with 1 and a
traceback if a response differs from the API reference.
"""

import http.client
import json
import socket
import sys
from urllib.parse import quote, urlencode


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


class Fleet:
    def __init__(self, path):
        self.connection = UnixConnection(path)

    def call(self, method, path, body=None):
        headers = {} if body is None else {"Content-Type": "application/json"}
        self.connection.request(method, "/fleet/v1" + path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else None

    def units(self):
        query = {}
        while True:
            code, page = self.call("GET", "/units" + ("?" + urlencode(query) if query else ""))
            assert code == 200, page
            yield from page.get("units", [])
            if "nextPageToken" not in page:
                return
            query = {"nextPageToken": page["nextPageToken"]}


def main(path):
    fleet = Fleet(path)
    code, document = fleet.call("GET", "/openapi.json")
    assert code == 200 and document["openapi"] == "3.1.0", document
    assert "/fleet/v1/units/{unitName}" in document["paths"]

    names = [f"py-{index:03}@1.service" for index in range(250)]
    options = [{"section": "Service", "name": "ExecStart", "value": "/bin/sleep \u00fc"}]
    for name in names:
        code, body = fleet.call("PUT", "/units/" + quote(name), {"options": options, "desiredState": "inactive"})
        assert (code, body) == (201, None), (code, body)
    assert [unit["name"] for unit in fleet.units()] == names

    first = "/units/" + quote(names[0])
    assert fleet.call("PUT", first, {"desiredState": "loaded"}) == (204, None)
    code, unit = fleet.call("GET", first)
    assert code == 200 and unit["desiredState"] == "loaded" and unit["options"] == options, unit
    code, error = fleet.call("PUT", first, {"desiredState": "flying"})
    assert code == 400 and error["error"]["code"] == 400 and "flying" in error["error"]["message"], error

    stream = UnixConnection(path)
    stream.request("GET", "/fleet/v1/events?kind=unit&" + urlencode({"unit": names[0]}))
    lines = iter(stream.getresponse().readline, b"")
    states = []
    for line in lines:
        if line.startswith(b"event: synced"):
            fleet.call("PUT", first, {"desiredState": "launched"})
        if line.startswith(b"data: ") and b'"unit"' in line:
            states.append(json.loads(line[6:])["unit"]["desiredState"])
            if len(states) == 2:
                break
    assert states == ["loaded", "launched"], states
    stream.close()

    for name in names:
        assert fleet.call("DELETE", "/units/" + quote(name)) == (204, None)
    code, error = fleet.call("DELETE", first)
    assert (code, error["error"]["message"]) == (404, "unit does not exist"), error
    assert list(fleet.units()) == []
    print(f"{len(names)} units came and went")


main(sys.argv[1])
