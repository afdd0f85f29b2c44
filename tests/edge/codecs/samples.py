"""What devices send, photographs and templates included. Made up after the vendors' documents; nobody is in them."""

from __future__ import annotations

import base64
import json
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from edge_collector.readings import Link, OrderLine, Visit

ADDRESS = "54:48:E6:8F:80:A5"
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")

_RNG = random.Random(20260131)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + _RNG.randbytes(3000) + b"\xff\xd9"
TEMPLATE = base64.b64encode(_RNG.randbytes(1200)).decode()
EMBEDDING = [round(_RNG.uniform(-1, 1), 6) for _ in range(128)]

AT = datetime(2026, 1, 31, 17, 30, 0, 250_000, tzinfo=UTC)
VISIT = Visit(device=ADDRESS, member_number="13085", direction="enter", at=AT)
ORDER = OrderLine(
    device=ADDRESS,
    order_id="8812",
    order_no=1,
    member_number=None,
    ordered_at=AT,
    category_id="咖啡",
    quantity=2,
    amount=Decimal("7.60"),
    currency="EUR",
    status="completed",
)
LINK = Link(device=ADDRESS, terminal_number="T-4", member_number="13085", action="link")

ATTLOG = (
    b"13085\t2026-01-31 18:30:00\t0\t15\t0\t0\t0\n"
    b"13086\t2026-01-31 18:31:07\t1\t1\t0\t0\n"
    b"13087\t2026-01-31 18:32:00\t255\t1\t0\t0\t0\t0\t0\t0\t\n"
)
OPERLOG = (
    "OPLOG 70\t0\t2026-01-31 18:05:35\t2\t0\t0\t0\n"
    "USER PIN=13085\tName=X\tPri=14\tPasswd=\tCard=196793\tGrp=1\tTZ=0000000100000000\n"
    f"FP PIN=13085\tFID=3\tSize=1600\tValid=1\tTMP={TEMPLATE}\n"
    f"FACE PIN=13085\tFID=0\tSIZE=1600\tVALID=1\tTMP={TEMPLATE}\n"
    f"USERPIC PIN=13085\tFileName=13085.jpg\tSize=4000\tContent={base64.b64encode(JPEG).decode()}\n"
    f"BIOPHOTO PIN=13085\tFileName=13085.jpg\tType=9\tSize=4000\tContent={base64.b64encode(JPEG).decode()}\n"
).encode()
BIODATA = (
    f"BIODATA Pin=13085\tNo=0\tIndex=0\tValid=1\tDuress=0\tType=9\tMajorVer=39\tMinorVer=3\tTmp={TEMPLATE}\n" * 2
).encode()
ATTPHOTO = b"PIN=20260131183000-13085.jpg\nSN=CJ1\nsize=3013\nCMD=uploadphoto\0" + JPEG

ACCESS: dict[str, Any] = {
    "deviceName": "Entrance",
    "majorEventType": 5,
    "subEventType": 75,
    "cardNo": "196793",
    "name": "X",
    "cardReaderNo": 1,
    "doorNo": 1,
    "employeeNoString": "13085",
    "serialNo": 997,
    "userType": "normal",
    "currentVerifyMode": "faceOrFpOrCardOrPw",
    "attendanceStatus": "checkIn",
    "currentEvent": True,
    "mask": "no",
    "FaceRect": {"height": 0.41, "width": 0.23, "x": 0.38, "y": 0.3},
}
HIKVISION: dict[str, Any] = {
    "ipAddress": "192.168.1.64",
    "portNo": 443,
    "protocol": "HTTPS",
    "macAddress": "88:de:39:7a:22:cf",
    "channelID": 1,
    "dateTime": "2026-01-31T18:30:00+01:00",
    "activePostCount": 1,
    "eventType": "AccessControllerEvent",
    "eventState": "active",
    "eventDescription": "Access Controller Event",
    "AccessControllerEvent": ACCESS,
}
HIKVISION_JSON = json.dumps(HIKVISION, indent="\t").encode()
HIKVISION_XML = b"""<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">
  <ipAddress>192.168.1.64</ipAddress>
  <dateTime>2026-01-31T18:30:00+01:00</dateTime>
  <eventType>AccessControllerEvent</eventType>
  <eventState>active</eventState>
  <AccessControllerEvent>
    <majorEventType>5</majorEventType>
    <subEventType>75</subEventType>
    <employeeNoString>13085</employeeNoString>
    <name>X</name>
    <serialNo>997</serialNo>
    <attendanceStatus>checkIn</attendanceStatus>
    <cardNo></cardNo>
  </AccessControllerEvent>
</EventNotificationAlert>
"""
HEARTBEAT = {"dateTime": "2026-01-31T18:30:00+01:00", "eventType": "heartBeat", "eventState": "active"}


def form(event: bytes, *pictures: bytes, subtype: str = "form-data") -> tuple[bytes, str]:
    """A multipart body as terminals send it, and its Content-Type."""
    part = (
        "--MIME_boundary\r\nContent-Disposition: form-data; name={}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"
    )
    body = part.format('"AccessControllerEvent"', 'application/json; charset="UTF-8"', len(event)).encode() + event
    for number, picture in enumerate(pictures or (JPEG,)):
        name = f'"Picture"; filename="Picture{number}.jpg"'
        body += b"\r\n" + part.format(name, "image/jpeg", len(picture)).encode() + picture
    return body + b"\r\n--MIME_boundary--\r\n", f"multipart/{subtype}; boundary=MIME_boundary"


PLAIN = json.dumps(
    {
        "counts": [{"in_total": 120, "out_total": 96}],
        "visits": [
            {"id": "f3c1", "member_number": "13085", "direction": "enter", "at": "2026-01-31T18:30:00.250+01:00"}
        ],
        "orders": [
            {
                "id": "8812/1",
                "order_id": "8812",
                "order_no": 1,
                "member_number": None,
                "ordered_at": "2026-01-31T18:30:00.250+01:00",
                "category_id": "咖啡",
                "quantity": 2,
                "amount": "7.60",
                "currency": "EUR",
                "status": "completed",
            }
        ],
        "links": [{"id": "77", "terminal_number": "T-4", "member_number": "13085", "action": "link"}],
    }
).encode()
