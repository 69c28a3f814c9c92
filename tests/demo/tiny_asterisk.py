"""A real Asterisk with one trunk, two stations and a few extensions, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cti import config as configuration
from cti.embedded import asterisk

MODULES = """
    app_dial app_echo app_mixmonitor app_read app_verbose bridge_builtin_features bridge_simple bridge_softmix
    chan_pjsip codec_alaw codec_ulaw format_wav format_pcm func_callerid func_channel func_logic
    func_periodic_hook func_strings func_uri func_cut func_groupcount app_chanspy pbx_config res_agi res_speech
    res_pjproject res_pjsip res_pjsip_authenticator_digest res_pjsip_caller_id
    res_pjsip_endpoint_identifier_ip res_pjsip_endpoint_identifier_user res_pjsip_nat res_pjsip_pubsub
    res_pjsip_registrar res_pjsip_rfc3326 res_pjsip_sdp_rtp res_pjsip_session res_rtp_asterisk
    res_sorcery_astdb res_sorcery_config res_sorcery_memory res_timing_timerfd res_statsd app_userevent
"""

PJSIP = """
[global]
type=global
endpoint_identifier_order=username,ip
[udp]
type=transport
protocol=udp
bind=127.0.0.1:{port}
[demo]
type=endpoint
context=trunk
disallow=all
allow=alaw,ulaw
direct_media=no
[demo]
type=identify
endpoint=demo
match=127.0.0.1
"""
STATION = """
[{n}]
type=endpoint
context=none
disallow=all
allow=alaw,ulaw,opus
direct_media=no
auth={n}
aors={n}
rtp_symmetric=yes
rewrite_contact=yes
callerid=Station {n} <{n}>
[{n}]
type=auth
auth_type=userpass
username={n}
password=secret-{n}
[{n}]
type=aor
max_contacts=2
remove_existing=yes
minimum_expiration=5
"""
# 7000 tells what it was given; 7001 dials a station; 7002 records both sides; 7003 echoes
DIALPLAN = """
[none]
[trunk]
exten => 7000,1,Answer()
 same => n,Read(KEY,,3,,1,4)
 same => n,Log(NOTICE,<${{KEY}}> <${{CALLERID(num)}}> <${{CALLERID(name)}}>)
 same => n,Hangup()
exten => 7001,1,Dial(PJSIP/2001,20)
exten => 7002,1,Answer()
 same => n,MixMonitor({home}/mix.wav,br({home}/caller.wav)t({home}/agent.wav))
 same => n,Dial(PJSIP/2001,20)
exten => 7003,1,Answer()
 same => n,Echo()
"""


class Tiny:
    """`server` for phones; `log()` is what the dialplan said."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.server = home, ("127.0.0.1", port)

    def log(self) -> str:
        return (self.home / "log/full").read_text(errors="replace")


def _booted(argv: list[str]) -> bool:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    return "fully booted" in done.stdout


@contextmanager
def running(home: Path, port: int, first: int) -> Iterator[Tiny]:
    """Started, and stopped at the end. `first`: of forty free UDP ports for sound."""
    found = asterisk.find(configuration.load(None, {**os.environ, "CTI_HOME": str(home)}))
    for name in ("db", "spool", "run", "log", "var"):
        (home / name).mkdir()
    names = {"etc": home, "mod": found.tree.modules, "varlib": home / "var", "db": home / "db"}
    names |= {"key": home / "var", "data": found.tree.data, "agi": home / "var", "spool": home / "spool"}
    names |= {"run": home / "run", "log": home / "log"}
    (home / "var/documentation").symlink_to(found.tree.data / "documentation")
    files = {
        "asterisk.conf": "[directories]\n" + "".join(f"ast{k}dir => {v}\n" for k, v in names.items()),
        "modules.conf": "[modules]\nautoload=no\n" + "".join(f"load={m}.so\n" for m in MODULES.split()),
        "logger.conf": "[logfiles]\nfull => notice,warning,error\n",
        "rtp.conf": f"[general]\nrtpstart={first}\nrtpend={first + 40}\n",
        "pjsip.conf": PJSIP.format(port=port) + "".join(STATION.format(n=n) for n in ("2001", "2002")),
        "extensions.conf": DIALPLAN.format(home=home),
    }
    for name, text in files.items():
        (home / name).write_text(text)
    argv = [*found.argv, "-C", str(home / "asterisk.conf"), "-f"]
    with (home / "out").open("w") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out)
    try:
        until = time.monotonic() + 30
        while not _booted([*argv[:-1], "-rx", "core waitfullybooted"]):
            assert process.poll() is None and time.monotonic() < until, (home / "out").read_text()[-2000:]
            time.sleep(0.05)
        yield Tiny(home, port)
    finally:
        process.terminate()
        process.wait(20)
