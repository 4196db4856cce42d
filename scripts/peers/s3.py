"""The storage adapter against an S3 server that somebody else wrote, and that believes every signature.

    s3.py CONFORMANCE    where CONFORMANCE is the built example of that name
"""

import subprocess
import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://{host}:{port}"
keys = {"aws_access_key_id": "peer", "aws_secret_access_key": "peers-secret"}
client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
client.create_bucket(Bucket="pictures")
try:
    subprocess.run([sys.argv[1], endpoint, "pictures", *keys.values(), "--unsigned"], check=True, timeout=300)
finally:
    server.stop()
