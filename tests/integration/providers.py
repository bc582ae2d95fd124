"""What services of later stages ask outside of the topology: a language model, a bucket."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
from moto.server import ThreadedMotoServer


class FakeModel(BaseHTTPRequestHandler):
    """Speaks chat completions: answers how many turns it was given."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = json.dumps({"choices": [{"message": {"content": f"{len(asked['messages'])}"}}]})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Quietly."""


@contextmanager
def fake_model() -> Iterator[str]:
    """The base URL of a model server."""
    server = HTTPServer(("127.0.0.1", 0), FakeModel)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def bucket_of_s3() -> Iterator[dict[str, str]]:
    """The settings of an S3 endpoint with an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    store = {
        "endpoint": f"http://{host}:{port}",
        "region": "eu-west-1",
        "bucket": "media",
        "access_key": "testing",
        "secret_key": "testing",
    }
    client = boto3.client(
        "s3",
        endpoint_url=store["endpoint"],
        region_name=store["region"],
        aws_access_key_id=store["access_key"],
        aws_secret_access_key=store["secret_key"],
    )
    client.create_bucket(
        Bucket=store["bucket"],
        CreateBucketConfiguration={"LocationConstraint": store["region"]},
    )
    try:
        yield store
    finally:
        server.stop()
