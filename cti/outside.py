"""What flows do outside of their calls: each kind of RunTask and the adapter that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

from cti.adapters import passwords, postgres_lookups, postgres_pins, tasks_http, tasks_pay
from cti.adapters.postgres import Store
from cti.adapters.postgres_lookups import Lookups
from cti.adapters.tasks import Done, Fault, Sealed, Tasks, Work
from cti.adapters.tasks_http import Client
from cti.adapters.tasks_pay import Forget, Tokeniser
from cti.adapters.tasks_script import Scripts, Text
from cti.config import Config, SecretOf
from cti.core.messages import RunTask, TaskDone


class Outside:
    """Made inside a running loop. `sealed(uniqueid, name)`, `forget(uniqueid, name)`: the vault of sealed digits."""

    def __init__(
        self, config: Config, store: Store, *, script_text: Text, sealed: Sealed, forget: Forget,
        now: Callable[[], float],
    ) -> None:  # fmt: skip
        self._config, self._store = config, store
        self._sealed, self._forget = sealed, forget
        self._zone = ZoneInfo(config.site.time_zone)
        self._client = Client(config.outside.allow)
        self._scripts = Scripts(script_text)
        self._lookups = Lookups(config.postgres.dsn, config.site.time_zone, config.postgres.lookup_dsn)
        payment = config.payment
        self._tokeniser = Tokeniser(payment.url, self._headers(payment.headers), payment.timeout)
        self._hooks = {name: (hook.url, self._headers(hook.headers)) for name, hook in config.webhooks.items()}
        self._tasks = Tasks(self._kinds(), now=now, sealed=sealed, secrets=config.secrets)

    def _kinds(self) -> dict[str, Work]:
        return {
            "customer": self._customer,
            "query": self._query,
            "http": lambda command: tasks_http.http(self._client, command),
            "message": lambda command: tasks_http.message(self._client, self._hooks, command),
            "script": self._scripts.script,
            "pay": lambda command: tasks_pay.pay(self._client, self._tokeniser, self._sealed, self._forget, command),
            "authenticate": self._authenticate,
        }

    def _headers(self, given: Mapping[str, str | SecretOf]) -> dict[str, str]:
        secrets = self._config.secrets
        return {n: secrets[v.secret.lower()] if isinstance(v, SecretOf) else v for n, v in given.items()}

    async def run(self, command: RunTask) -> TaskDone:
        """Never raises."""
        return await self._tasks.run(command)

    async def close(self) -> None:
        await self._client.close()
        await self._lookups.close()
        self._scripts.close()

    async def _customer(self, command: RunTask) -> Done:
        number, who = (str(command.args.get(key) or "") for key in ("number", "customer_id"))
        country = self._config.site.country
        return await postgres_lookups.customer(self._store, country, number=number, customer_id=who)

    async def _query(self, command: RunTask) -> Done:
        args = command.args
        given, many = args.get("with") or {}, bool(args.get("many"))
        return await self._lookups.query(str(args.get("sql") or ""), given, many=many, seconds=command.timeout)

    async def _authenticate(self, command: RunTask) -> Done:
        pin = self._sealed(command.uniqueid, "pin")
        self._forget(command.uniqueid, "pin")
        if pin is None:
            raise Fault("there is no PIN any more")
        who = str(command.args.get("customer_id") or "")
        return await postgres_pins.authenticate(self._store, passwords.check_pin, who, pin, self._zone)
