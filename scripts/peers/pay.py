"""A merchant's client of WeChat Pay that somebody else wrote, against the fake: prepay, query, close, refund, notify.

    pay.py DREAM    where DREAM is the binary, whose `sandbox` command plays WeChat Pay
"""

import http.server
import json
import queue
import subprocess
import sys
import threading
import urllib.request

import requests
from wechatpayv3 import WeChatPay, WeChatPayType

REAL = "https://api.mch.weixin.qq.com"
AMOUNT = 1999


class Backend(http.server.BaseHTTPRequestHandler):
    """Where notices arrive."""

    arrived: "queue.Queue[tuple[dict, bytes]]" = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Backend.arrived.put((dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def sandbox(dream, backend):
    """Starts the sandbox and reads what it prints for a backend's environment."""
    process = subprocess.Popen(
        [dream, "sandbox", "--json", "--backend", backend], stdout=subprocess.PIPE, text=True
    )
    printed = ""
    for line in process.stdout:
        printed += line
        try:
            lines = json.loads(printed)
            return process, {line["variable"]: line["value"] for line in lines}
        except json.JSONDecodeError:
            continue
    raise SystemExit("the sandbox did not start")


def good(answer):
    status, text = answer
    assert 200 <= status < 300, (status, text)
    return json.loads(text) if text else {}


def refused(answer, status, code):
    got, text = answer
    assert (got, json.loads(text)["code"]) == (status, code), (got, text)


def turn(base, knob, **settings):
    body = json.dumps(settings).encode()
    request = urllib.request.Request(
        f"{base}/_control/{knob}", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status < 300


def notice(client):
    headers, body = Backend.arrived.get(timeout=20)
    told = client.callback(headers, body)
    assert told, "the notice's signature is wrong, or it cannot be opened"
    forged = client.callback(headers, body.replace(b"encrypt-resource", b"encrypt-resourcE"))
    assert not forged, "a changed notice was believed"
    return told


def round_of(client, base, tag):
    payer = {"openid": "o-sandbox-alice"}
    order = f"peer{tag}paid01"
    prepaid = good(
        client.pay(
            description="a month",
            out_trade_no=order,
            amount={"total": AMOUNT, "currency": "CNY"},
            payer=payer,
        )
    )
    assert prepaid["prepay_id"].startswith("wx"), prepaid
    assert good(client.query(out_trade_no=order))["trade_state"] == "NOTPAY"

    turn(base, "pay", outTradeNo=order)
    paid = good(client.query(out_trade_no=order))
    assert paid["trade_state"] == "SUCCESS" and paid["amount"]["total"] == AMOUNT, paid
    by_number = good(client.query(transaction_id=paid["transaction_id"]))
    assert by_number["out_trade_no"] == order
    told = notice(client)
    assert told["event_type"] == "TRANSACTION.SUCCESS", told
    assert told["resource"]["out_trade_no"] == order

    refund = f"peer{tag}refund1"
    asked = good(
        client.refund(
            out_refund_no=refund,
            out_trade_no=order,
            amount={"refund": 999, "total": AMOUNT, "currency": "CNY"},
            reason="a part of it",
        )
    )
    assert asked["status"] in ("PROCESSING", "SUCCESS"), asked
    assert good(client.query_refund(out_refund_no=refund))["amount"]["refund"] == 999
    told = notice(client)
    assert told["event_type"] == "REFUND.SUCCESS", told
    too_much = client.refund(
        out_refund_no=f"peer{tag}refund2",
        out_trade_no=order,
        amount={"refund": AMOUNT, "total": AMOUNT, "currency": "CNY"},
    )
    assert too_much[0] >= 400, too_much

    closed = f"peer{tag}closed1"
    good(
        client.pay(
            description="a month",
            out_trade_no=closed,
            amount={"total": AMOUNT, "currency": "CNY"},
            payer=payer,
        )
    )
    status, _ = client.close(out_trade_no=closed)
    assert status == 204, status
    assert good(client.query(out_trade_no=closed))["trade_state"] == "CLOSED"
    status, _ = client.query(out_trade_no=f"peer{tag}nobody1")
    assert status == 404, status


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    backend = f"http://127.0.0.1:{server.server_port}"
    process, keys = sandbox(sys.argv[1], backend)
    base = keys["WECHAT_PAY_BASE_URL"]
    # The client knows one host only.
    send = requests.sessions.Session.request
    requests.sessions.Session.request = lambda self, method, url, **more: send(
        self, method, url.replace(REAL, base, 1), **more
    )
    ours = {
        "wechatpay_type": WeChatPayType.MINIPROG,
        "mchid": keys["WECHAT_PAY_MCH_ID"],
        "private_key": keys["WECHAT_PAY_PRIVATE_KEY"].replace("\\n", "\n"),
        "cert_serial_no": keys["WECHAT_PAY_SERIAL_NO"],
        "apiv3_key": keys["WECHAT_PAY_API_V3_KEY"],
        "appid": keys["WECHAT_APPID"],
        "notify_url": f"{backend}/notify",
        "timeout": (10, 30),
    }
    try:
        by_key = WeChatPay(
            **ours,
            public_key=keys["WECHAT_PAY_PUBLIC_KEY"].replace("\\n", "\n"),
            public_key_id=keys["WECHAT_PAY_PUBLIC_KEY_ID"],
        )
        round_of(by_key, base, "key")
        print("ok  by the platform's public key")
        turn(base, "notify-key", key="certificate_a")
        round_of(WeChatPay(**ours), base, "cert")
        print("ok  by downloaded certificates")
    finally:
        process.terminate()
        process.wait(timeout=20)


main()
