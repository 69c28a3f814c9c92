"""Settings: where values come from, and that every problem is named at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cti import config
from cti.__main__ import main
from cti.adapters import ami_actions
from cti.core.messages import Ring


def problems(path: Path | None, environ: dict[str, str]) -> list[str]:
    with pytest.raises(config.ConfigError) as caught:
        config.load(path, environ)
    return caught.value.problems


def test_without_a_file_every_key_has_a_default(tmp_path: Path) -> None:
    found = config.load(None, {"CTI_HOME": str(tmp_path)})
    assert (found.http.host, found.http.port, found.sip.port) == ("127.0.0.1", 8080, 5060)
    assert found.paths.recordings == tmp_path / "recordings"
    assert found.postgres.dsn == f"postgresql://cti@/cti?host={tmp_path}/run"


def test_a_variable_beats_the_file_which_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "cti.toml"
    file.write_text('[http]\nport = 9001\nhost = "127.0.0.2"\n[paths]\nflows = "my-flows"\n')
    found, origins = config.load_with_origins(file, {"CTI_HTTP__PORT": "9002"})
    assert (found.http.port, found.http.host, found.paths.flows) == (9002, "127.0.0.2", tmp_path / "my-flows")
    assert origins["http.port"] == "CTI_HTTP__PORT"
    assert origins["http.host"] == str(file)
    assert origins["sip.port"] == "default"


def test_lists_and_booleans_from_variables() -> None:
    trunk = '[{"name": "a", "match": ["10.0.0.0/8"], "contact": "sip:10.0.0.1:5060", "codecs": ["alaw"]}]'
    environ = {"CTI_SIP__TRUNKS": trunk, "CTI_SITE__LANGUAGES": "en, zh", "CTI_FLOWS__AUTO_PUBLISH": "true"}
    found = config.load(None, environ)
    assert found.sip.trunks == (
        config.Trunk(name="a", match=("10.0.0.0/8",), contact="sip:10.0.0.1:5060", codecs=("alaw",)),
    )
    assert found.site.languages == ("en", "zh")
    assert found.flows.auto_publish is True


@pytest.mark.parametrize("text", ['[{name = "a", match = ["10.0.0.1"]}]', "carrier", "", "[{"])
def test_trunks_in_another_form_than_json_are_told_the_form(text: str) -> None:
    (said,) = problems(None, {"CTI_SIP__TRUNKS": text})
    assert said == f"CTI_SIP__TRUNKS: sip.trunks: in a variable this list is JSON, as {config.TRUNKS}"
    example = config.load(None, {"CTI_SIP__TRUNKS": config.TRUNKS}).sip.trunks[0]
    assert (example.name, example.contact) == ("carrier", "sip:192.0.2.10:5060")
    assert config.TRUNKS in (config.PROJECT / "docs/operators.md").read_text()


def test_a_broken_list_is_told_both_forms() -> None:
    said = problems(None, {"CTI_SITE__LANGUAGES": '["en", zh]'})
    assert said == ['CTI_SITE__LANGUAGES: site.languages: write a, b or ["a", "b"]']


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("country", "XX", "'XX' is no country with numbers: two capital letters, as ID"),
        ("country", "id", "'id' is no country with numbers: two capital letters, as ID"),
        ("country", "001", "'001' is no country with numbers: two capital letters, as ID"),
        ("time_zone", "Asia/Jakarta2", "'Asia/Jakarta2' is no time zone, as Asia/Jakarta"),
        ("time_zone", "Asia", "'Asia' is no time zone, as Asia/Jakarta"),
        ("time_zone", "", "'' is no time zone, as Asia/Jakarta"),
        ("languages", "en, xx", "'xx' is no language that is known, as en, zh, id"),
        ("languages", "en, english", 'a list as ["en", "zh", "id"]'),
    ],
)
def test_a_site_is_somewhere(key: str, value: str, said: str) -> None:
    assert problems(None, {f"CTI_SITE__{key.upper()}": value}) == [f"CTI_SITE__{key.upper()}: site.{key}: {said}"]


@pytest.mark.parametrize(
    ("country", "zone", "languages"),
    [("ID", "Asia/Jayapura", "id, jv"), ("NL", "UTC", "nl"), ("HK", "Asia/Hong_Kong", "yue, zh-HK")],
)
def test_sites_that_are_somewhere(country: str, zone: str, languages: str) -> None:
    environ = {"CTI_SITE__COUNTRY": country, "CTI_SITE__TIME_ZONE": zone, "CTI_SITE__LANGUAGES": languages}
    assert config.load(None, environ).site.country == country


def test_trusted_proxies_are_addresses_or_networks() -> None:
    good = config.load(None, {"CTI_HTTP__TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8, ::1"})
    assert good.http.trusted_proxies == ("127.0.0.1", "10.0.0.0/8", "::1")
    (said,) = problems(None, {"CTI_HTTP__TRUSTED_PROXIES": "127.0.0.1, proxy.test"})
    assert "http.trusted_proxies: 'proxy.test' is no IP address or network" in said


def test_every_problem_is_reported_at_once_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "cti.toml"
    file.write_text('debug = 1\n[http]\nprot = 1\nhost = "localhost"\n[sipp]\nport = 1\n[rtp]\nfirst = "x"\n[empty]\n')
    found = problems(file, {"CTI_AGI__PORT": "abc", "CTI_AMI__SECRET": "short", "CTI_SITE__TIME_ZONE": "Mars/One"})
    text = "\n".join(found)
    assert f"{file}: http.prot: unknown key; did you mean port?" in found
    assert f"{file}: [sipp]: unknown section; did you mean sip?" in found
    for part in (
        f"{file}: debug:",
        f"{file}: http.host: 'localhost' is no IP address",
        f"{file}: rtp.first: expected `int`",
        f"{file}: [empty]: unknown section",
        "CTI_AGI__PORT: agi.port: expected `int`",
        "CTI_AMI__SECRET: ami.secret:",
        "CTI_SITE__TIME_ZONE: site.time_zone: 'Mars/One' is no time zone",
    ):
        assert part in text


@pytest.mark.parametrize("text", ["[http", "a = 1\na = 2", "\ufffe\x00"])
def test_a_broken_file_is_one_problem(tmp_path: Path, text: str) -> None:
    file = tmp_path / "cti.toml"
    file.write_text(text)
    assert len(problems(file, {})) == 1


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    assert "no such file" in problems(tmp_path / "no.toml", {})[0]


@pytest.mark.parametrize(
    "trunk",
    [
        '{"name": "a b", "match": ["10.0.0.1"]}',
        '{"name": "x](!,y", "match": ["10.0.0.1"]}',
        '{"name": "a;b", "match": ["10.0.0.1"]}',
        '{"name": "a", "match": []}',
        '{"name": "a", "match": ["example.org"]}',
        '{"name": "a", "match": ["10.0.0.1\\nmatch=0.0.0.0/0"]}',
        '{"name": "a", "match": ["10.0.0.1"], "contact": "sip:10.0.0.1;x=y"}',
        '{"name": "a", "match": ["10.0.0.1"], "contact": "sip:10.0.0.1\\n[x]"}',
        '{"name": "a", "match": ["10.0.0.1"], "codecs": ["g729"]}',
        '{"name": "a", "match": ["10.0.0.1"], "extra": 1}',
    ],
)
def test_a_trunk_that_could_mean_more_than_itself_is_refused(trunk: str) -> None:
    assert problems(None, {"CTI_SIP__TRUNKS": f"[{trunk}]"})


@pytest.mark.parametrize("name", ["carrier", "sip.carrier.com", "1", "_-.", "x" * 40])
def test_a_trunk_of_any_name_that_is_taken_can_be_dialled_through(name: str) -> None:
    found = config.load(None, {"CTI_SIP__TRUNKS": f'[{{"name": "{name}", "match": ["10.0.0.1"]}}]'})
    ring = Ring(
        call_id="c", channel_id="u", endpoint=f"+62812@trunk-{found.sip.trunks[0].name}", peer="PJSIP/t-00000001",
        timeout=15,
    )  # fmt: skip
    assert f"@trunk-{name}\r\n".encode() in ami_actions.ring(ring, "a")


@pytest.mark.parametrize("section", ["sip", "ami", "agi"])
def test_an_address_that_asterisk_would_read_otherwise_is_refused(section: str) -> None:
    variable = f"CTI_{section.upper()}__HOST"
    (problem,) = problems(None, {variable: "::1"})
    assert problem == f"{variable}: {section}.host: '::1': only IPv4 addresses, as 127.0.0.1, work here"
    assert config.load(None, {"CTI_HTTP__HOST": "::1"}).http.host == "::1"


def test_who_may_hand_callers_over(tmp_path: Path) -> None:
    assert config.load(None, {"CTI_AGI__ALLOW": "192.0.2.7, 10.1.0.0/16"}).agi.allow == ("192.0.2.7", "10.1.0.0/16")
    assert "agi.allow: 'pbx.example' is no IP address" in problems(None, {"CTI_AGI__ALLOW": "pbx.example"})[0]


def test_secrets_are_masked() -> None:
    secret = "very-secret-indeed"
    environ = {
        "CTI_AMI__SECRET": secret,
        "CTI_POSTGRES__DSN": f"postgresql://u:{secret}@h/db",
        "CTI_REDIS__URL": f"redis://:{secret}@h/0",
    }
    assert secret not in str(config.shown(*config.load_with_origins(None, environ)))


def test_bad_settings_end_with_exit_code_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CTI_HTTP__PROT", "1")
    assert main(["config", "show"]) == 2
    assert "did you mean port?" in capsys.readouterr().err


def test_config_show_names_value_and_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CTI_HTTP__PORT", "9090")
    assert main(["config", "show"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("http.port"))
    assert row.split() == ["http.port", "9090", "(CTI_HTTP__PORT)"]


# ---------------------------------------------------------------- what flows ask of others

OUTSIDE = """
[secrets]
CRM_Key = "s3cret-of-crm"
[webhooks]
crm = {url = "https://crm.example/hook/secret-path", headers = {Authorization = {secret = "crm_key"}, X-A = "plain"}}
[payment]
url = "https://pay.example/tokens"
headers = {X-Key = "key-in-clear"}
[outside]
allow = ["127.0.0.1:8099", "10.0.0.0/8", "intranet.example", "[::1]:80"]
"""


def test_what_flows_may_ask_has_sections_of_its_own_and_no_secret_is_shown(tmp_path: Path) -> None:
    (tmp_path / "cti.toml").write_text(OUTSIDE)
    environ = {"CTI_SECRETS__PSP_KEY": "s3cret-of-psp", "CTI_WEBHOOKS__SMS": '{"url": "https://sms.example/x"}',
               "CTI_PAYMENT__HEADERS": '{"Authorization": {"secret": "PSP_KEY"}}'}  # fmt: skip
    found, origins = config.load_with_origins(tmp_path / "cti.toml", environ)
    assert found.secrets == {"crm_key": "s3cret-of-crm", "psp_key": "s3cret-of-psp"}
    assert found.webhooks["crm"].headers["Authorization"] == config.SecretOf(secret="crm_key")
    assert found.webhooks["sms"].url == "https://sms.example/x"
    assert found.payment.headers == {"Authorization": config.SecretOf(secret="PSP_KEY")}
    assert found.outside.allow[1] == "10.0.0.0/8"
    assert origins["secrets.psp_key"] == "CTI_SECRETS__PSP_KEY"
    rows = {key: value for key, value, _ in config.shown(found, origins)}
    assert not [word for word in ("s3cret", "secret-path", "plain", "in-clear") if word in str(rows)]
    assert rows["webhooks.crm"]["url"] == "https://crm.example/********"
    assert rows["secrets.crm_key"] == "********"


@pytest.mark.parametrize(("text", "said"), [
    ("[webhooks]\na = {url = 'ftp://x/'}", "webhooks.a: url: write https://HOST/PATH, without a user name"),
    ("[webhooks]\na = {url = 'https://me:s3cret@x/'}", "webhooks.a: url: write https://HOST/PATH, without a user name"),
    ("[webhooks]\na = {url = 'https://x:99999/'}", "webhooks.a: url: write https://HOST/PATH, without a user name"),
    ("[webhooks]\na = {urll = 'https://x/'}", "webhooks.a: object contains unknown field `urll`"),
    ("[webhooks]\na = {url = 'https://x/', headers = {A = {secret = 'no'}}}",
     "webhooks.a: header A: there is no 'no' under [secrets]"),
    ("[webhooks]\na = {url = 'https://x/', headers = {'A B' = 'x'}}", "webhooks.a: 'A B' is no name of a header"),
    ("[webhooks]\na = {url = 'https://x/', headers = {A = \"x\\ny\"}}", "webhooks.a: header A: one line of ASCII text"),
    ("[secrets]\na = \"s3cret\\n\"", "secrets.a: one line of ASCII text"),
    ("[secrets]\na = 7", "secrets.a: expected `str`, got `int`"),
    ("[secrets]\n'a b' = 's3cret'", "secrets.a b: name: letters, digits, _ . - (1 to 40)"),
    ("[payment]\nurl = 'http://pay.example/'",
     "payment.url: card numbers go over https only (http: to this machine, for tests)"),
    ("[payment]\nurl = 'http://localhost.example/'",
     "payment.url: card numbers go over https only (http: to this machine, for tests)"),
    ("[payment]\ntimeout = 0", "payment.timeout: is 1 to 60 seconds"),
    ("[outside]\nallow = ['http://x/']", "outside.allow: 'http://x/' is no host, host:port, IP address or network"),
    ("[outsid]\n", "[outsid]: unknown section; did you mean outside?"),
])  # fmt: skip
def test_what_flows_may_ask_is_checked_at_once(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "cti.toml").write_text(text)
    (problem,) = problems(tmp_path / "cti.toml", {})
    assert problem.removeprefix(f"{tmp_path / 'cti.toml'}: ") == said and "s3cret" not in problem


def test_a_webhook_in_a_variable_is_json() -> None:
    assert problems(None, {"CTI_WEBHOOKS__A": "https://x/"}) == [
        'CTI_WEBHOOKS__A: webhooks.a: in a variable this is JSON, as {"url": "https://..."}'
    ]


def test_the_reasons_of_a_site_are_its_own_list_with_limits(tmp_path: Path) -> None:
    assert config.load(None, {}).agents.limits == {
        "break": 900.0, "lunch": 3600.0, "training": 0.0, "meeting": 0.0, "admin": 1800.0,
    }  # fmt: skip
    file = tmp_path / "cti.toml"
    file.write_text('[agents]\nreasons = {prayer = "1h30m", break = "90s", course = 0}\n')
    found = config.load(file, {}).agents.limits
    assert list(found.items()) == [("prayer", 5400.0), ("break", 90.0), ("course", 0.0)]
    assert config.load(None, {"CTI_AGENTS__REASONS": '{"tea": "10m"}'}).agents.limits == {"tea": 600.0}


@pytest.mark.parametrize(
    ("name", "limit", "said"),
    [
        ("break", "15", "'break': '15' is no time, as 15m, 90s or 1h30m (0: no limit)"),
        ("break", 15, "'break': 15 is no time, as 15m, 90s or 1h30m (0: no limit)"),
        ("break", "", "'break': '' is no time, as 15m, 90s or 1h30m (0: no limit)"),
        ("break", "-5m", "'break': '-5m' is no time, as 15m, 90s or 1h30m (0: no limit)"),
        ("missed", "5m", "'missed': the server says this itself when it happened; choose another name"),
        ("Long Break", 0, "'Long Break': small letters, digits and _ (1 to 32), a letter first"),
    ],
)
def test_a_reason_that_is_none_is_refused(name: str, limit: object, said: str) -> None:
    text = json.dumps({name: limit})
    assert problems(None, {"CTI_AGENTS__REASONS": text}) == [f"CTI_AGENTS__REASONS: agents.reasons: {said}"]


def test_a_list_of_reasons_that_is_no_map_is_told_the_form() -> None:
    said = problems(None, {"CTI_AGENTS__REASONS": "break, lunch"})
    assert said == ['CTI_AGENTS__REASONS: agents.reasons: in a variable this is JSON, as {"break": "15m"}']
