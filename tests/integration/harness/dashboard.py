"""`tallymill dashboard` of a site, found by its log, and asked as a browser would."""

import gzip
import http.client
import json
import re
import urllib.parse

from .waiting import wait_until

SERVED = re.compile(r'msg="the dashboard is served" address=http://(\S+)/')


class Dashboard:
    def __init__(self, site, *sets, **how):
        words = [word for pair in ("dashboard.listen=127.0.0.1:0", *sets) for word in ("--set", pair)]
        self.program = site.start("tallymill", "dashboard", *words, **how)
        found = wait_until(lambda: SERVED.search(self.program.log()), 30, lambda: f"an address in the log:\n{self.program.log()}")
        self.address = found.group(1)

    def get(self, path, method="GET", body=None, deadline=40, **headers):
        """(status, headers, body as bytes, unpacked)"""
        connection = http.client.HTTPConnection(self.address, timeout=deadline)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            content = answer.read()
            if answer.headers.get("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            return answer.status, answer.headers, content
        finally:
            connection.close()

    def json(self, path, **query):
        status, _, body = self.get(path + "?" + urllib.parse.urlencode(query))
        return status, json.loads(body)

    def page(self, tab="overview", **query):
        """Panels of a tab by their names, beside what the page says of itself."""
        status, page = self.json(f"/api/v1/page/{tab}", **query)
        assert status == 200, page
        return {panel["name"]: panel for panel in page["panels"]}, page

    def pipeline(self):
        status, facts = self.json("/api/v1/pipeline")
        assert status == 200, facts
        return facts

    def wait_for(self, what, predicate, deadline=60):
        return wait_until(predicate, deadline, lambda: f"{what}; last: {self.pipeline()}")
