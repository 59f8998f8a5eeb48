# SPDX-License-Identifier: Apache-2.0
"""A web server with threads and its client, mail with attachments, a database
with callbacks, TLS contexts."""
import email.message
import email.policy
import http.client
import http.server
import sqlite3
import ssl
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    seen = []

    def do_GET(self):
        body = self.path.encode() * 10
        self.seen.append(self)  # the handler holds its own list's class, and its socket files
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def requests(count):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    total = 0
    for number in range(count):
        connection = http.client.HTTPConnection(*server.server_address)
        connection.request("GET", "/%d" % number)
        response = connection.getresponse()
        response.connection = connection
        connection.last = response
        total += len(response.read())
    server.shutdown()
    thread.join()
    server.server_close()
    server.thread = thread
    thread.server = server
    for handler in Handler.seen:
        handler.own = handler.__dict__
    Handler.seen.clear()
    return total


def letters(count):
    size = 0
    for number in range(count):
        message = email.message.EmailMessage(policy=email.policy.default)
        message["Subject"] = "letter %d" % number
        message["To"] = "somebody@example.org"
        message.set_content("text")
        message.add_attachment(b"data", maintype="application", subtype="octet-stream")
        message.parts = list(message.walk())  # the first is the message itself
        size += len(message.as_bytes()) > 100
    return size


class Database:
    def __init__(self, number):
        self.connection = sqlite3.connect(":memory:")
        self.connection.row_factory = self.make_row
        self.connection.create_function("twice", 1, self.twice)
        self.connection.execute("create table t (a, b)")
        self.connection.executemany("insert into t values (?, ?)", [(i, number) for i in range(20)])

    def make_row(self, cursor, values):
        return dict(zip((d[0] for d in cursor.description), values), database=self)

    def twice(self, value):
        return 2 * value

    def sum(self):
        self.rows = self.connection.execute("select twice(a) as x, b from t").fetchall()
        return sum(row["x"] + row["b"] for row in self.rows)


def contexts(count):
    for _ in range(count):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = lambda *arguments, context=context: context
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    return count


print(requests(12), letters(15), sum(Database(n).sum() for n in range(10)), contexts(3))
