"""A real Asterisk with the smallest configuration these adapters need, in a folder of its own.

Started from an extracted tree: `CTI_TEST_ASTERISK`, else the first one under /var/cache/cti.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

ROOT = Path(__file__).parents[2]
LIB = "usr/lib/x86_64-linux-gnu"

MODULES = ["app_bridgeaddchan", "app_dial", "app_echo", "app_exec", "app_mixmonitor", "app_playback", "app_softhangup", "app_stack", "app_verbose", "bridge_builtin_features", "bridge_simple", "bridge_native_rtp", "cel_custom", "res_cdrel_custom", "chan_pjsip", "codec_gsm", "codec_ulaw", "codec_alaw", "codec_resample", "format_gsm", "format_pcm", "format_wav", "format_sln", "func_callerid", "func_channel", "func_cut", "func_groupcount", "func_hangupcause", "func_logic", "func_periodic_hook", "func_strings", "func_uri", "pbx_config", "res_agi", "res_clialiases", "res_manager_devicestate", "res_musiconhold", "res_pjproject", "res_pjsip", "res_pjsip_acl", "res_pjsip_authenticator_digest", "res_pjsip_caller_id", "res_pjsip_dtmf_info", "res_pjsip_endpoint_identifier_ip", "res_pjsip_endpoint_identifier_user", "res_pjsip_nat", "res_pjsip_outbound_authenticator_digest", "res_pjsip_registrar", "res_pjsip_rfc3326", "res_pjsip_sdp_rtp", "res_pjsip_session", "res_rtp_asterisk", "res_sorcery_astdb", "res_sorcery_config", "res_sorcery_memory", "res_speech", "res_timing_timerfd", "app_chanspy", "bridge_holding", "bridge_softmix", "res_pjsip_pubsub", "res_statsd", "app_userevent", "app_sayunixtime", "app_read"]

FILES = {
    "asterisk.conf": """[directories]
astetcdir => {{ home }}/etc
astmoddir => {{ tree }}/{{ lib }}/asterisk/modules
astvarlibdir => {{ home }}/lib
astdbdir => {{ home }}/lib
astkeydir => {{ home }}/lib
astdatadir => {{ tree }}/usr/share/asterisk
astagidir => {{ home }}/agi
astspooldir => {{ home }}/spool
astrundir => {{ home }}/run
astlogdir => {{ home }}/log
[options]
systemname = {{ systemname }}
live_dangerously = no
""",
    "modules.conf": "[modules]\nautoload=no\n{% for m in modules %}load={{ m }}.so\n{% endfor %}",
    "logger.conf": "[logfiles]\nfull => notice,warning,error,verbose\n",
    "manager.conf": """[general]
enabled=yes
webenabled=no
bindaddr=127.0.0.1
port={{ ami_port }}
timestampevents=yes
debug=yes
[cti]
secret={{ secret }}
read=call,user,dtmf,system,reporting
write=originate,call,reporting
writetimeout=5000
eventfilter(action(exclude),name(VarSet)) =
eventfilter(action(exclude),name(Newexten)) =
eventfilter(action(exclude),name(TestEvent)) =
eventfilter(action(exclude),name(RTCPSent)) =
eventfilter(action(exclude),name(RTCPReceived)) =
""",
    "cel.conf": "[general]\nenable=yes\napps=\n"
    "events=CHAN_START,CHAN_END,HANGUP,ANSWER,BRIDGE_ENTER,BRIDGE_EXIT\ndateformat=%s.%6q\n",
    "cel_custom.conf": """[cti.csv]
fields = eventtype,eventtime,uniqueid,linkedid,channame,context,exten,num,name,accountcode,eventextra
""",
    "musiconhold.conf": "[default]\nmode=files\ndirectory={{ tree }}/usr/share/asterisk/moh\n",
    "pjsip.conf": """[global]
type=global
endpoint_identifier_order=username,ip
[udp]
type=transport
protocol=udp
bind=127.0.0.1:{{ sip_port }}
[trunk]
type=endpoint
context=from-trunk
disallow=all
allow=ulaw
[trunk]
type=identify
endpoint=trunk
match=127.0.0.1
{% for n in stations %}
[{{ n }}]
type=endpoint
context=from-station
disallow=all
allow=ulaw
aors={{ n }}
callerid={{ n }} <{{ n }}>
[{{ n }}]
type=aor
max_contacts=1
contact=sip:{{ n }}@127.0.0.1:{{ station_port }}
{% endfor %}
[2099]
type=endpoint
context=from-station
disallow=all
allow=ulaw
aors=2099
[2099]
type=aor
max_contacts=1
""",
    "rtp.conf": "[general]\nrtpstart={{ rtp_first }}\nrtpend={{ rtp_first + 400 }}\n",
}


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


class RealAsterisk(NamedTuple):
    home: Path
    ami_port: int
    sip_port: int
    agi_port: int
    station_port: int
    secret: str
    systemname: str

    @property
    def cel(self) -> Path:
        return self.home / "log" / "cel-custom" / "cti.csv"


def tree() -> Path | None:
    given = os.environ.get("CTI_TEST_ASTERISK")
    places = [Path(given)] if given else sorted(Path("/var/cache/cti").glob("*"))
    return next((p for p in places if (p / "usr/sbin/asterisk").exists()), None)


def extensions(**values: Any) -> str:
    template = (ROOT / "dialplan" / "extensions.conf.j2").read_text()
    return jinja2.Environment(trim_blocks=False).from_string(template).render(**values) + EXTRA


EXTRA = """
; for these tests: a far end without SIP
[far]
exten => answer,1,Answer()
 same => n,Echo()
exten => ring,1,Ringing()
 same => n,WaitDigit(30)
"""


@contextmanager
def running(home: Path) -> Iterator[RealAsterisk]:
    """Raises TimeoutError when it is not up within 20 s."""
    found = tree()
    assert found is not None
    one = RealAsterisk(
        home, free_port(), free_port(socket.SOCK_DGRAM), free_port(), free_port(socket.SOCK_DGRAM),
        secrets.token_hex(8), "n" + secrets.token_hex(8),
    )  # fmt: skip
    _write(one, found)
    if os.geteuid() == 0:
        for path in [home, *home.rglob("*")]:
            shutil.chown(path, "nobody")
    loader = found / LIB / "ld-linux-x86-64.so.2"
    process = subprocess.Popen(
        [loader, "--library-path", found / LIB, found / "usr/sbin/asterisk", "-f", "-C", home / "etc/asterisk.conf"],
        stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd=home,
        user="nobody" if os.geteuid() == 0 else None,
    )  # fmt: skip
    try:
        _wait_for(one.ami_port, process)
        yield one
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _write(one: RealAsterisk, found: Path) -> None:
    for name in ("etc", "lib", "agi", "spool", "run", "log/cel-custom", "rec/spool"):
        (one.home / name).mkdir(parents=True, exist_ok=True)
    for name in (
        "acl",
        "udptl",
        "pjproject",
        "ccss",
        "features",
        "cli_aliases",
        "indications",
        "cdr",
        "stasis",
    ):
        (one.home / "etc" / f"{name}.conf").touch()
    values = {
        **one._asdict(), "tree": found, "lib": LIB, "modules": MODULES, "stations": ["2001", "2002"],
        "rtp_first": 20000 + secrets.randbelow(100) * 400, "agi_host": "127.0.0.1",
        "recordings_dir": one.home / "rec", "fallback_script": "none.py",
    }  # fmt: skip
    for name, text in FILES.items():
        (one.home / "etc" / name).write_text(jinja2.Environment().from_string(text).render(**values) + "\n")
    (one.home / "etc" / "extensions.conf").write_text(extensions(**values))


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"Asterisk ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("Asterisk does not open its AMI port")
